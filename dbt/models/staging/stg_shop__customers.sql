select
    customers.pseudonym,
    customers.country,
    customers.age_band,
    {{ text_list('customers.preferred_sizes') }} as preferred_sizes,
    customers.signed_up_at,
    customers.updated_at,
    customers.source
from {{ source('shop', 'customers') }} as customers
where {{ not_withheld('customers') }}
