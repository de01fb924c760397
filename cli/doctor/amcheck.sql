-- Reads every table and B-tree index of the database and checks its structure, with the functions that pg_amcheck
-- calls. Their extension is made in this transaction, which is rolled back: nobody else ever sees it, no backup
-- has it, and nothing of it is left however this ends.
\set QUIET on
\set ON_ERROR_STOP on
\pset tuples_only on
SET statement_timeout = 0;
-- A statement that nobody waits for any more comes to its end.
SET client_connection_check_interval = '1s';
SET client_min_messages = notice;
BEGIN;
SELECT count(*) = 0 AS make FROM pg_extension WHERE extname = 'amcheck' \gset
\if :make
CREATE SCHEMA persistent_stack_doctor;
CREATE EXTENSION amcheck SCHEMA persistent_stack_doctor;
\endif

DO $$
DECLARE
	functions text := (SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'amcheck');
	one record;
	faults bigint;
	fault text;
	tables bigint := 0;
	indexes bigint := 0;
BEGIN
	FOR one IN
		SELECT c.oid, c.oid::regclass AS name FROM pg_class c JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't' ORDER BY 2
	LOOP
		BEGIN
			EXECUTE format('SELECT count(*), min(format(''block %%s: %%s'', blkno, msg)) FROM %s.verify_heapam(%s)',
				functions, one.oid) INTO faults, fault;
			tables := tables + 1;
			IF faults > 0 THEN RAISE NOTICE 'damage: table %: % (% in all)', one.name, fault, faults; END IF;
		EXCEPTION WHEN OTHERS THEN
			RAISE NOTICE 'damage: table %: %', one.name, SQLERRM;
		END;
	END LOOP;
	FOR one IN
		SELECT c.oid, c.oid::regclass AS name, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' ORDER BY 2
	LOOP
		BEGIN
			IF NOT one.indisvalid THEN RAISE 'it is not valid: its creation did not come to an end'; END IF;
			-- With heapallindexed: every row must be in the index.
			EXECUTE format('SELECT %s.bt_index_check(%s, true)', functions, one.oid);
			indexes := indexes + 1;
		EXCEPTION WHEN OTHERS THEN
			RAISE NOTICE 'damage: index %: %', one.name, SQLERRM;
		END;
	END LOOP;
	RAISE NOTICE 'read: % tables, % indexes', tables, indexes;
END $$;
ROLLBACK;
