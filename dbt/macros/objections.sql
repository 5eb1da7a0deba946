{# True for rows whose subject has not left this very asset, nor restricted all use of their data ('*'). #}
{% macro not_withheld(alias) -%}
    not exists (
        select 1
        from {{ source('consent', 'withheld') }} as objection
        where objection.pseudonym = {{ alias }}.pseudonym
            and objection.asset_key in ('{{ asset_key() }}', '*')
    )
{%- endmacro %}

{# The consent filter for this very asset: `consented`, with its lineage to the ledger. #}
{% macro serves(alias, purpose, at) -%}
    {{ consented(alias, purpose, at, asset_key(), source('consent', 'intervals'), source('consent', 'withheld')) }}
{%- endmacro %}

{# Key of this very asset, by which people object to it. A unit test runs under a name of its own, so it must say the model's. #}
{% macro asset_key() -%}
    {{ model.schema }}/{{ model.name }}
{%- endmacro %}
