{# Schemas are named as they are, without the target's prefix: roles and rights are set on exactly these. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
