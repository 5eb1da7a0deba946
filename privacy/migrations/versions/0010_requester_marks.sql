set role selvedge_privacy;

-- Keyed hashes of an erasure's id and a customer number of its subject: the vault's entry is gone before they have read the
-- certificate. `closed` is when the request was; they are kept for some days from then on.
create table requests.requester_marks (
  request_id uuid not null references requests.privacy_requests on delete cascade,
  mark bytea not null,
  closed timestamptz,
  primary key (request_id, mark)
);
create function requests.close_requester_marks() returns trigger language plpgsql as $$
begin
  update requests.requester_marks set closed = new.completed where request_id = new.request_id;
  return null;
end $$;
create trigger requester_marks_closed after update of completed on requests.privacy_requests
  for each row execute function requests.close_requester_marks();
reset role;
