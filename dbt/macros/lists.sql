{# A JSON list of texts as text[]; null (unknown) stays null, an empty list stays empty. #}
{% macro text_list(column) -%}
    case
        when jsonb_typeof({{ column }}) = 'array' then array(select jsonb_array_elements_text({{ column }}))
    end
{%- endmacro %}
