-- What the shop knows of one subject, for serving: a function, so that serving gains no right on the schema `shop` and can ask about
-- one subject at a time, of whom it gets what serves personalisation and nothing else. It reads as selvedge_dbt, which may read the
-- shop's tables and the ledger's views and write neither.
--
-- The rule is that of dbt/macros/consented.sql: a row counts if its subject agreed when it happened and still agrees, and does not
-- object to its table or to every use ('*').
create function consent.shop_profile(subject text, style_questions text[]) returns jsonb
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
with agreed as (
  select valid_from, coalesce(valid_to, 'infinity') as valid_to
  from consent.intervals
  where pseudonym = subject and purpose = 'personalisation' and agreed_now
), withheld as (
  select asset_key from consent.withheld where pseudonym = subject
), customer as (
  select country, age_band, height_band, body_shape, preferred_sizes, updated_at
  from shop.customers
  where pseudonym = subject
    and exists (select from agreed where valid_to = 'infinity')
    and not exists (select from withheld where asset_key in ('shop/customers', '*'))
), answers as (
  select distinct on (question) question, answer, answered_at
  from shop.quiz_answers as q
  where pseudonym = subject and question = any(style_questions)
    and exists (select from agreed where valid_from <= q.answered_at and q.answered_at < valid_to)
    and not exists (select from withheld where asset_key in ('shop/quiz_answers', '*'))
  order by question, answered_at desc, answer_id
), lines as (
  select order_line_id, product_id, size, ordered_at
  from shop.order_lines as l
  where pseudonym = subject
    and exists (select from agreed where valid_from <= l.ordered_at and l.ordered_at < valid_to)
    and not exists (select from withheld where asset_key in ('shop/order_lines', '*'))
), back as (
  select order_line_id, product_id, returned_at
  from shop.returns as r
  where pseudonym = subject
    and exists (select from agreed where valid_from <= r.returned_at and r.returned_at < valid_to)
    and not exists (select from withheld where asset_key in ('shop/returns', '*'))
), bought as (
  select product_id, max(ordered_at) as at from lines group by product_id
), returned as (
  select product_id, max(returned_at) as at from back where product_id is not null group by product_id
), kept_sizes as (  -- what came back is no sign that its size fits
  select p.category, l.size, count(*) as times
  from lines as l join shop.products as p using (product_id)
  where l.size is not null and p.category is not null
    and not exists (select from back where back.order_line_id = l.order_line_id)
  group by p.category, l.size
)
select jsonb_build_object(
  'customer', (select to_jsonb(customer) from customer),
  'answers', (select coalesce(jsonb_agg(to_jsonb(answers) order by array_position(style_questions, question)), '[]') from answers),
  'kept_sizes', (select coalesce(jsonb_agg(to_jsonb(kept_sizes) order by category, times desc, size), '[]') from kept_sizes),
  'purchased', jsonb_build_object(
    'count', (select count(*) from lines),
    'as_of', (select max(at) from bought),
    'latest', (select coalesce(jsonb_agg(product_id order by at desc, product_id), '[]')
               from (select * from bought order by at desc, product_id limit 20) as latest)),
  'returned', jsonb_build_object(
    'count', (select count(*) from back),
    'as_of', (select max(returned_at) from back),
    'latest', (select coalesce(jsonb_agg(product_id order by at desc, product_id), '[]')
               from (select * from returned order by at desc, product_id limit 20) as latest)))
$$;
alter function consent.shop_profile(text, text[]) owner to selvedge_dbt;
revoke all on function consent.shop_profile(text, text[]) from public;
grant execute on function consent.shop_profile(text, text[]) to selvedge_serving;

-- One subject's rows are looked up, not searched for.
create index order_lines_subject on shop.order_lines (pseudonym);
create index returns_subject on shop.returns (pseudonym);
create index quiz_answers_subject on shop.quiz_answers (pseudonym);
