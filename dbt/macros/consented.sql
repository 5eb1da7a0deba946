{#-
  A predicate for `where`: the row of `relation` serves `purpose`, and its subject is not left out of `asset`.

  It serves a purpose that rests on consent if its subject (column `pseudonym`) agreed when the row happened (column `at`)
  and still agrees now. `service` rests on a contract and needs no agreement. A row without a subject or a time cannot be
  shown to be agreed to, so it serves nothing but `service`. Who restricted the use of their data objects to '*', every asset. The ledger's last word counts as now, whatever the clock says.

  Keep it a conjunct of `where`, and not below `or` or in a select list: the planner then joins the ledger once (a hash
  semi-join) in place of asking it for every row.

  `intervals` and `withheld` are the ledger's two views, for a caller that has them by another name.

  The same rule: consent/spark.py for Spark, consent/masks.py for serving; a property test holds the three to each other.
-#}
{%- macro consented(relation, purpose, at, asset, intervals='consent.intervals', withheld='consent.withheld') -%}
{%- set on_consent = ['personalisation', 'model_training', 'analytics', 'experimentation', 'marketing_email'] -%}
{%- if purpose not in on_consent and purpose != 'service' -%}
  {{ exceptions.raise_compiler_error("consented: unknown purpose '" ~ purpose ~ "'; one of " ~ on_consent | join(', ') ~ ', service') }}
{%- endif -%}
(
  {%- if purpose in on_consent %}
  exists (
    select 1
    from {{ intervals }} as agreement
    where agreement.pseudonym = {{ relation }}.pseudonym
      and agreement.purpose = '{{ purpose }}'
      and agreement.agreed_now
      and agreement.valid_from <= {{ relation }}.{{ at }}
      and (agreement.valid_to is null or {{ relation }}.{{ at }} < agreement.valid_to)
  )
  and
  {%- endif %}
  not exists (
    select 1
    from {{ withheld }} as objection
    where objection.pseudonym = {{ relation }}.pseudonym
      and objection.asset_key in ('{{ asset }}', '*')
  )
)
{%- endmacro -%}
