package dapr

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/config/driver"
	"fairlead.dev/providers"
)

// configFacet describes the config facet.
func (p *provider) configFacet(sidecarState) fairlead.FacetDescription {
	const api, readOnly = "Dapr's configuration API does not report what the component's backend stores", "Dapr's configuration API cannot write"
	return fairlead.FacetDescription{
		Facet:  fairlead.Config,
		Claims: []fairlead.Claim{fairlead.Shared},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimSnapshot, Reason: "components read the keys one by one"},
			{Claim: driver.ClaimDeleteVisible, Reason: "a component of Dapr does not distinguish an empty value from a missing one"},
			{Claim: driver.ClaimWrite, Reason: readOnly},
			{Claim: driver.ClaimAtomicSet, Reason: readOnly},
			{Claim: driver.ClaimCompareAndSet, Reason: readOnly},
			{Claim: fairlead.DurableFsync, Reason: api},
			{Claim: fairlead.DurableQuorum, Reason: api},
		},
	}
}

// source holds the settings of one name: the keys of the component that start
// with the name and a slash.
type source struct {
	p      *provider
	prefix string

	life *providers.Lifetime
}

// OpenSource implements the config driver's Provider.
func (p *provider) OpenSource(_ context.Context, c driver.SourceConfig) (driver.Source, error) {
	return &source{p: p, prefix: c.Name + "/", life: p.life.Child("source")}, nil
}

// Close implements the config driver's Source.
func (s *source) Close(context.Context) error {
	s.life.End()
	return nil
}

// Set implements the config driver's Source.
func (s *source) Set(context.Context, []driver.Change) (string, error) {
	return "", fairlead.Errorf(fairlead.Unsupported, "Dapr's configuration API cannot write; write to the component's backend")
}

// Snapshot implements the config driver's Source.
func (s *source) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	if err := s.life.Err(); err != nil {
		return driver.Snapshot{}, err
	}
	var all map[string]*commonv1.ConfigurationItem
	err := s.p.calls.Read(ctx, func(ctx context.Context) error {
		r, err := s.p.client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: s.p.configComponent()})
		all = r.GetItems()
		return err
	})
	if err != nil {
		return driver.Snapshot{}, err
	}
	return s.snapshot(all), nil
}

func (p *provider) configComponent() string {
	return p.current.Load().components[fairlead.Config].name
}

// snapshot selects the keys of the source.
func (s *source) snapshot(all map[string]*commonv1.ConfigurationItem) driver.Snapshot {
	values := map[string]driver.Value{}
	for name, item := range all {
		if key, ours := strings.CutPrefix(name, s.prefix); ours && key != "" {
			values[key] = driver.Value{Data: []byte(item.GetValue()), Version: item.GetVersion()}
		}
	}
	return driver.Snapshot{Version: digestValues(values), Values: values}
}

// digestValues returns a digest of all keys and values. The API has no version
// for a set of keys.
func digestValues(values map[string]driver.Value) string {
	digest := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := values[key]
		fmt.Fprintf(digest, "%q %q %q\n", key, v.Data, v.Version)
	}
	return hex.EncodeToString(digest.Sum(nil)[:16])
}

// Next implements the config driver's Source. It reads when the component
// reports a change, and every config-poll, since the component may not report
// one.
func (s *source) Next(ctx context.Context, version string) (driver.Snapshot, error) {
	waiter := s.p.changes.subscribe(s.prefix)
	defer s.p.changes.unsubscribe(waiter)
	poll := time.NewTicker(s.p.config.configPoll)
	defer poll.Stop()
	for {
		snapshot, err := s.Snapshot(ctx)
		if err != nil || snapshot.Version != version {
			return snapshot, err
		}
		select {
		case <-waiter.changed.Fired():
		case <-poll.C:
		case <-s.life.Done():
			return driver.Snapshot{}, s.life.Err()
		case <-ctx.Done():
			return driver.Snapshot{}, fairlead.ContextError(ctx)
		}
	}
}
