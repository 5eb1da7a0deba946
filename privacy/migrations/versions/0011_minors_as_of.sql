set role selvedge_privacy;

-- When the source last changed the row that an entry was made from (null: not known, or the subject's age is not): an older
-- row, or one without a date of birth, does not take a child's protection away.
alter table consent.minors add column as_of timestamptz;
reset role;
