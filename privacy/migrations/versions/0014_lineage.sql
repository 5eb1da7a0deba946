-- Json, for jsonb would lose the order of the columns. What each asset is made of, beside its contract: assets, its columns with their types, and what those were made of at the last run.
alter table requests.assets
  add column inputs text[] not null default '{}',
  add column columns json not null default '{}',
  add column lineage json not null default '{}';
