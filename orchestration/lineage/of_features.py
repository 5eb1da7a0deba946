"""The lineage of features: of the views, and of what a feature service retrieves."""

from feast import FeatureService, FeatureView

from feature_repo import definitions
from orchestration.lineage.columns import ColumnLineage, Source

__all__ = ["service_lineage", "view_lineage"]


def view_lineage(view: FeatureView) -> ColumnLineage:
    """What each join key and feature of `view` is made of, in columns of its table in the lake."""
    source = view.batch_source
    original = {feature: column for column, feature in source.field_mapping.items()}
    names = [*view.join_keys, *(feature.name for feature in view.features)]
    return {name: {Source(f"lake/{source.path}", original.get(name, name))} for name in names}


def service_lineage(service: FeatureService) -> ColumnLineage:
    """What each feature of `service` is made of; one that is computed on demand, of all that its function is given."""
    views = {
        view.name: view_lineage(view)
        for view in vars(definitions).values()
        if isinstance(view, FeatureView)
    }
    on_demand = definitions.affinity
    given = {
        source
        for projection in on_demand.source_feature_view_projections.values()
        for feature in projection.features
        for source in views[projection.name][feature.name]
    }
    return {
        feature.name: views.get(projection.name, {}).get(feature.name, given)
        for projection in service.feature_view_projections
        for feature in projection.features
    }
