-- A raw identifier in the pseudonym's place would be a leak; pseudonyms are 128 random bits in hex.
with subjects as (
    select pseudonym from {{ ref('dim_customers') }}
    union
    select pseudonym from {{ ref('fct_orders') }}
    union
    select pseudonym from {{ ref('fct_order_lines') }}
)

select count(*) as subjects
from subjects
where pseudonym !~ '^[0-9a-f]{32}$'
having count(*) > 0
