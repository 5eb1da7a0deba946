-- A figure of few people tells about each of them.
select day
from {{ ref('kpi_daily') }}
where customers < {{ smallest_group() }}
    or returning_customers < {{ smallest_group() }}
    or (customers is null and coalesce(orders, items, revenue, average_order_value) is not null)
    or (returning_customers is null and coalesce(returns, returned_items) is not null)
