{# How many people a figure must stand for; the number is `SMALLEST_GROUP` of privacy/contracts.py. #}
{% macro smallest_group() -%}
    {{ env_var('SELVEDGE_SMALLEST_GROUP') | int }}
{%- endmacro %}
