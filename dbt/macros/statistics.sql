{# Post-hook, in the transaction that makes the table: no statistics on pseudonyms, before any analyse can run. #}
{% macro forget_statistics(relation) -%}
    {%- if 'pseudonym' in model.columns -%}
        alter table {{ relation }} alter column pseudonym set statistics 0
    {%- endif -%}
{%- endmacro %}
