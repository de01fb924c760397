import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase
from unittest.mock import patch

from django.core.exceptions import ImproperlyConfigured

from config.environment import read_flag, read_list, read_secret


class SecretTests(TestCase):
    def setUp(self):
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name) / "secret"

    def test_trailing_newlines_are_no_part_of_a_secret(self):
        for ending in ("", "\n", "\r\n"):
            self.file.write_text(f" s3cret {ending}")
            self.assertEqual(read_secret("SECRET_FILE", self.file), " s3cret ")

    def test_a_missing_file_is_named_together_with_its_variable(self):
        with self.assertRaisesRegex(ImproperlyConfigured, f"{self.file}.*SECRET_FILE"):
            read_secret("SECRET_FILE", self.file)

    def test_an_empty_file_is_an_error(self):
        self.file.write_text("\n")
        with self.assertRaisesRegex(ImproperlyConfigured, "empty"):
            read_secret("SECRET_FILE", self.file)


class ValueTests(TestCase):
    def test_a_flag_that_is_neither_on_nor_off_is_an_error(self):
        with patch.dict(os.environ, FLAG="maybe"):
            with self.assertRaisesRegex(ImproperlyConfigured, "FLAG"):
                read_flag("FLAG")

    def test_a_list_has_no_empty_entries(self):
        with patch.dict(os.environ, HOSTS="a.example, ,b.example,"):
            self.assertEqual(read_list("HOSTS", ""), ["a.example", "b.example"])
