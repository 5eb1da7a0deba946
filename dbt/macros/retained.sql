{#
  True for rows that the contract of this very model still allows to be kept, counted from its retention's column.
  Whoever reads the warehouse sees no older row, also where the tables below it are kept for longer (vouchers).
  The day that counts as today comes from the platform's settings; without one it is the database's clock.
#}
{% macro retained(alias) -%}
    {%- set kept = retention() -%}
    {%- set as_of = env_var('SELVEDGE_DBT_RETENTION_AS_OF', '') -%}
    {%- if execute and not kept.get('column') -%}
        {{ exceptions.raise_compiler_error("retained: the contract of " ~ model.name ~ " names no retention.column") }}
    {%- endif -%}
    {%- if execute and kept.get('year_end_in') -%}
        {{ exceptions.raise_compiler_error("retained: the contract of " ~ model.name ~ " counts from the end of a year, which this macro does not") }}
    {%- endif -%}
    {{ alias }}.{{ kept.get('column') }} >= {% if as_of %}timestamptz '{{ as_of }}'{% else %}current_timestamp{% endif %} - interval '{{ kept.get('days') }} days'
{%- endmacro %}

{# The retention in the contract of this very model. A unit test has no contract, so it must say the model's. #}
{% macro retention() -%}
    {%- set meta = model.config.meta -%}
    {{ return(meta.get('contract', {}).get('retention') or meta.get('contract_defaults', {}).get('retention') or {}) }}
{%- endmacro %}
