import logging
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from unittest import TestCase

from config.logs import ForgivingFileHandler, logging_config


class LogTests(TestCase):
    def setUp(self):
        directory = TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def test_a_writable_directory_gets_the_log_file(self):
        handlers = logging_config(self.directory, debug=False)["handlers"]
        self.assertEqual(handlers["file"]["filename"], self.directory / "backend.log")

    def test_a_directory_that_cannot_be_written_is_a_warning(self):
        with redirect_stderr(StringIO()) as stderr:
            config = logging_config(self.directory / "absent", debug=False)
        self.assertEqual(config["root"]["handlers"], ["console"])
        self.assertIn("console only", stderr.getvalue())

    def test_logging_goes_on_after_the_file_was_deleted(self):
        file = self.directory / "backend.log"
        handler = ForgivingFileHandler(file)
        self.addCleanup(handler.close)
        file.unlink()
        handler.emit(logging.makeLogRecord({"msg": "still here"}))
        self.assertIn("still here", file.read_text())

    def test_losing_the_directory_does_not_raise(self):
        handler = ForgivingFileHandler(self.directory / "backend.log")
        self.addCleanup(handler.close)
        rmtree(self.directory)
        with redirect_stderr(StringIO()):
            handler.emit(logging.makeLogRecord({"msg": "lost"}))
