-- Who owns a table may switch its triggers off, and who owns a schema may drop what is in it. So what is only appended to
-- belongs to a role that nobody logs in as and nobody is a member of; the privacy role, which the API's workers use, may
-- read and append.
alter schema consent owner to selvedge_ledger;
alter schema audit owner to selvedge_ledger;
grant usage on schema consent, audit to selvedge_privacy;
do $$
declare t text;
begin
  foreach t in array array['consent.records', 'consent.links', 'consent.erasures', 'consent.erased', 'consent.heads', 'audit.log'] loop
    execute format('alter table %s owner to selvedge_ledger', t);
    execute format('grant select on %s to selvedge_privacy', t);
  end loop;
end $$;
grant insert on consent.erasures, consent.erased, consent.heads, audit.log to selvedge_privacy;
grant delete on consent.records to selvedge_privacy;  -- each after its note of erasure: trigger refuse_removal

-- What the triggers run belongs to the same role, or they could be emptied from within. A trigger runs with the rights of
-- whoever fires it, and would look up operators and functions where that one says: each looks in pg_catalog alone.
do $$
declare f regprocedure;
begin
  for f in
    select oid from pg_proc
    where pronamespace = 'audit'::regnamespace or (pronamespace = 'consent'::regnamespace and proname in (
      'canonical_text', 'canonical_time', 'commitment', 'link_step', 'link', 'genesis',
      'lock_chain', 'chain_records', 'refuse_change', 'refuse_removal'))
  loop
    execute format('alter routine %s owner to selvedge_ledger', f);
  end loop;
  foreach f in array array['consent.lock_chain()', 'consent.refuse_change()', 'consent.refuse_removal()',
                           'audit.append()', 'audit.refuse()']::regprocedure[] loop
    execute format('alter function %s set search_path = pg_catalog, pg_temp', f);
  end loop;
end $$;

create trigger untruncated before truncate on audit.log for each statement execute function audit.refuse();

-- What was erased leaves the disk when its table is rewritten, which its owner alone may do, and no vacuum runs in a function:
-- so whoever may erase asks for the rewrite, in the order of the primary key.
create function consent.rewrite(target regclass) returns void language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  key name;
begin
  select k.relname into key
  from pg_index i join pg_class k on k.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
  where i.indrelid = target and i.indisprimary and t.relowner = 'selvedge_ledger'::regrole;
  if key is null then
    raise exception '% is no table of the ledger or the audit log', target using errcode = 'insufficient_privilege';
  end if;
  execute format('cluster %s using %I', target, key);
  execute format('analyze %s', target);
end $$;
alter function consent.rewrite(regclass) owner to selvedge_ledger;
revoke all on function consent.rewrite(regclass) from public;
grant execute on function consent.rewrite(regclass) to selvedge_privacy;
