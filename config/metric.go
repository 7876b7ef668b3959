package config

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// layerCounts counts the updates of one layer by outcome.
type layerCounts struct {
	updates         metric.Int64Counter
	whenApplied     metric.MeasurementOption
	whenRejected    metric.MeasurementOption
	whenUnreachable metric.MeasurementOption
}

func countsOf(layers []*openLayer) []layerCounts {
	updates, err := otel.Meter("fairlead.dev/config").Int64Counter("fairlead.config.updates",
		metric.WithUnit("{update}"),
		metric.WithDescription("Updates of a layer of settings that were applied or rejected, and how often it became unreachable."))
	if err != nil {
		otel.Handle(err)
	}
	all := make([]layerCounts, len(layers))
	for i, l := range layers {
		outcome := func(name string) metric.MeasurementOption {
			return metric.WithAttributeSet(attribute.NewSet(
				attribute.String("fairlead.config.layer", l.feed.name()),
				attribute.String("fairlead.config.outcome", name)))
		}
		all[i] = layerCounts{updates, outcome("applied"), outcome("rejected"), outcome("unreachable")}
	}
	return all
}

func (c layerCounts) countApplied()     { c.updates.Add(context.Background(), 1, c.whenApplied) }
func (c layerCounts) countRejected()    { c.updates.Add(context.Background(), 1, c.whenRejected) }
func (c layerCounts) countUnreachable() { c.updates.Add(context.Background(), 1, c.whenUnreachable) }
