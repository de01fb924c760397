/** Data in which everything occurs that a restore has to bring back, and its spoiling. */
import type { RestoreRig } from "./restore-rig.ts";

const content = `
	SET search_path TO public;
	CREATE EXTENSION pg_trgm; CREATE SCHEMA lib; CREATE EXTENSION hstore SCHEMA lib;
	CREATE TABLE record(id bigint GENERATED ALWAYS AS IDENTITY, note text, twice text GENERATED ALWAYS AS (note || note) STORED, tags lib.hstore, at timestamptz DEFAULT '2026-01-02');
	INSERT INTO record(note, tags) SELECT E'row\\t' || g || E'\\n\\\\.\\n', lib.hstore('k', g::text) FROM generate_series(1, 3000) g;
	CREATE INDEX ON record USING gin (note gin_trgm_ops);
	CREATE SEQUENCE counter START 41; SELECT nextval('counter'); SELECT nextval('counter');
	CREATE SCHEMA "Grüße & ""Co"""; CREATE TABLE "Grüße & ""Co"""."tâble"("sélect" text, CHECK ("sélect" <> 'x')); INSERT INTO "Grüße & ""Co"""."tâble" VALUES ('ünï'), (NULL);
	CREATE TABLE parts(k int, v text) PARTITION BY RANGE (k); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100); INSERT INTO parts SELECT g, 'v' FROM generate_series(0, 99) g;
	CREATE TABLE nothing(); CREATE VIEW seen AS SELECT id, note FROM record; CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM record;
	SELECT lo_from_bytea(4711, decode(repeat('00ff', 5000), 'hex')); COMMENT ON LARGE OBJECT 4711 IS 'large';
	CREATE FUNCTION odd() RETURNS text LANGUAGE plpgsql AS $_$ BEGIN
/*
\\connect elsewhere
DROP DATABASE other;
COPY public.looks_like (x) FROM stdin;
*/
	RETURN $$it's$$; END $_$;`;

const roles = `
	CREATE ROLE owner LOGIN PASSWORD 'one' CONNECTION LIMIT 7; CREATE ROLE "Größe ""x""" NOLOGIN; CREATE ROLE reader LOGIN VALID UNTIL '2031-01-01'; CREATE ROLE only_here;
	GRANT "Größe ""x""" TO owner WITH ADMIN OPTION; GRANT pg_read_all_data TO reader; ALTER ROLE reader SET search_path TO "$user", public; ALTER ROLE reader SET work_mem TO '5MB'; COMMENT ON ROLE reader IS 'it''s a reader';
	ALTER DATABASE backend_db OWNER TO owner; ALTER DATABASE backend_db CONNECTION LIMIT 50; COMMENT ON DATABASE backend_db IS 'the "one"'; ALTER DATABASE backend_db SET search_path TO public, lib; ALTER DATABASE backend_db SET timezone TO 'Asia/Tokyo'; ALTER ROLE reader IN DATABASE backend_db SET statement_timeout TO '9s';
	REVOKE ALL ON DATABASE backend_db FROM PUBLIC; GRANT CONNECT ON DATABASE backend_db TO reader WITH GRANT OPTION; GRANT TEMPORARY ON DATABASE backend_db TO "Größe ""x""";
	ALTER TABLE record OWNER TO owner; ALTER SCHEMA lib OWNER TO "Größe ""x"""; GRANT SELECT ON record TO reader; ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA lib GRANT SELECT ON TABLES TO reader;
	ALTER TABLE record ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON record TO reader USING (id > 5);`;

const files = `
	cd /media; mkdir -p deep/er; head -c 2000000 /dev/urandom > deep/random; ln -s /etc/passwd absolute; ln -s ../outside relative; ln -s nowhere dangling
	printf a > $'new\\nline: x'; printf b > $'latin\\351'; printf c > '-rf *'; printf d > 'back\\\\slash'; printf e > ' lead'; : > empty; mkfifo pipe
	truncate -s 20M sparse; printf x | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none
	chown -R 10001:10001 .; chmod 0600 deep/random; chmod 6750 empty; chown 1:2 ' lead'; touch -d '2001-02-03 04:05:06.789' ' lead'; chmod 2770 deep/er; chmod 0755 .
	mkdir -p /static/lib; for i in $(seq 1 300); do echo $i > /static/lib/$i.css; done; chown -R 10001:10001 /static
	touch -d '2002-03-04 05:06:07.123456789' /media/deep /media /static`;

/** Everything at once, in an empty rig. */
export function fill(rig: RestoreRig): void {
	rig.sql(`${content}${roles}`);
	rig.shell(files);
	fillRedis(rig);
}

export function fillRedis(rig: RestoreRig): void {
	rig.redis("FLUSHALL");
	rig.redis("SET", "session", "one");
	rig.redis("SETEX", "expires", "100000", "two");
	rig.redis("RPUSH", "queue", "job 1", "job 2");
}

/** Rows, tables, files and their attributes are others than before. */
export function spoilContent(rig: RestoreRig): void {
	rig.sql(`
		DELETE FROM record WHERE id % 2 = 0; INSERT INTO record(note) VALUES ('late'); DROP TABLE IF EXISTS "Grüße & ""Co"""."tâble"; SELECT nextval('counter');
		CREATE TABLE IF NOT EXISTS late(x int); DROP MATERIALIZED VIEW IF EXISTS counted; SELECT lo_unlink(oid) FROM pg_largeobject_metadata;`);
	rig.shell(`
		cd /media; rm -rf deep ' lead'; echo late > late; mkdir -p 'new place'; echo more >> empty; chown 5:5 sparse; mkdir deep; echo other > deep/random; chmod 0700 /media
		rm -f /static/lib/1*.css; echo changed > /static/lib/2.css; mkdir -p /static/late`);
}

/** Roles and the database's own settings are others than before. */
export function spoilFacts(rig: RestoreRig): void {
	rig.sql(`
		ALTER ROLE owner PASSWORD 'two' CONNECTION LIMIT 1 NOLOGIN CREATEDB; REVOKE "Größe ""x""" FROM owner; ALTER ROLE reader RESET ALL; ALTER ROLE reader SET work_mem TO '1MB'; COMMENT ON ROLE reader IS NULL; GRANT only_here TO reader;
		ALTER DATABASE backend_db CONNECTION LIMIT -1; COMMENT ON DATABASE backend_db IS NULL; ALTER DATABASE backend_db RESET ALL; ALTER DATABASE backend_db SET work_mem TO '2MB'; ALTER ROLE reader IN DATABASE backend_db RESET ALL; ALTER DATABASE backend_db OWNER TO postgres; GRANT ALL ON DATABASE backend_db TO PUBLIC;`);
}
