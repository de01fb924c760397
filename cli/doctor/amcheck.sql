-- Reads every table and B-tree index of the database and checks its structure, with the functions of pg_amcheck.
-- Their extension is made in this transaction, which is rolled back: nobody else ever sees it, no backup has it,
-- and nothing of it is left however this ends.
\set QUIET on
\pset tuples_only on
\pset format unaligned
-- What one object's damage ends is its own savepoint.
\set ON_ERROR_ROLLBACK on
SET statement_timeout = 0;
BEGIN;
SELECT count(*) = 0 AS make FROM pg_extension WHERE extname = 'amcheck' \gset
\if :make
CREATE SCHEMA persistent_stack_doctor;
CREATE EXTENSION amcheck SCHEMA persistent_stack_doctor;
\endif
SELECT quote_ident(nspname) AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
	WHERE extname = 'amcheck' \gset

SELECT format($$SELECT 'damage: table %s, block ' || blkno || ': ' || msg FROM %s.verify_heapam(%s)$$,
		replace(c.oid::regclass::text, '''', ''''''), :'schema', c.oid)
	FROM pg_class c JOIN pg_am a ON a.oid = c.relam
	WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't' ORDER BY 1 \gexec

-- With heapallindexed: every row must be in the index.
SELECT format('SELECT FROM %s.bt_index_check(%s, true)', :'schema', i.indexrelid)
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
	WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND i.indisready AND c.relpersistence <> 't' ORDER BY 1 \gexec

SELECT 'damage: index ' || indexrelid::regclass || ' is not valid: its creation did not come to an end'
	FROM pg_index WHERE NOT indisvalid;
SELECT 'read: ' || (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm', 't') AND relpersistence <> 't')
	|| ' tables, ' || (SELECT count(*) FROM pg_index) || ' indexes';
ROLLBACK;
