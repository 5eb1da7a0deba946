"""The project, and what features are about: a subject under its pseudonym, and a product."""

from feast import Entity, Project, ValueType

selvedge = Project(name="selvedge", description="Features of a sustainable-fashion shop.")

subject = Entity(
    name="subject",
    join_keys=["pseudonym"],
    value_type=ValueType.STRING,
    description="A customer of the shop, known here by a random pseudonym alone.",
)

product = Entity(
    name="product",
    join_keys=["product_id"],
    value_type=ValueType.STRING,
    description="A product of the shop.",
)
