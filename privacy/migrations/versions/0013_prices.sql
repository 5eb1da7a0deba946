-- No currency of ISO 4217 has more than four decimals, and shops state unit prices below a cent: rounded to the cent when they are
-- stored, sums over them are no longer the source's. Ten digits before the point stay.
-- A view holds the types of the columns that it reads, so the views on them go; dbt makes them anew at its next build.
do $$
declare v record;
begin
  for v in select distinct w.oid::regclass::text as name
           from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class w on w.oid = r.ev_class
           where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and w.relkind = 'v'
             and d.refobjid in ('shop.products'::regclass, 'shop.order_lines'::regclass) loop
    execute format('drop view if exists %s cascade', v.name);
  end loop;
end $$;
alter table shop.products alter column price type numeric(14, 4), alter column cost type numeric(14, 4);
alter table shop.order_lines alter column unit_price type numeric(14, 4);

-- What products were, as dbt's snapshots keep it.
create schema if not exists snapshots authorization selvedge_dbt;
