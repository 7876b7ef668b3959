package config

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// layerCounts counts what happened to the updates of one layer.
type layerCounts struct {
	updates  metric.Int64Counter
	applying metric.MeasurementOption
	refusing metric.MeasurementOption
	losing   metric.MeasurementOption
}

func countsOf(layers []*openLayer) []layerCounts {
	updates, err := otel.Meter("fairlead.dev/config").Int64Counter("fairlead.config.updates",
		metric.WithUnit("{update}"),
		metric.WithDescription("Updates of a layer of settings that were applied or rejected, and times that it went out of reach."))
	if err != nil {
		otel.Handle(err)
	}
	all := make([]layerCounts, len(layers))
	for i, l := range layers {
		outcome := func(is string) metric.MeasurementOption {
			return metric.WithAttributeSet(attribute.NewSet(
				attribute.String("fairlead.config.layer", l.feed.name()),
				attribute.String("fairlead.config.outcome", is)))
		}
		all[i] = layerCounts{updates, outcome("applied"), outcome("rejected"), outcome("unreachable")}
	}
	return all
}

func (c layerCounts) applied()     { c.updates.Add(context.Background(), 1, c.applying) }
func (c layerCounts) rejected()    { c.updates.Add(context.Background(), 1, c.refusing) }
func (c layerCounts) unreachable() { c.updates.Add(context.Background(), 1, c.losing) }
