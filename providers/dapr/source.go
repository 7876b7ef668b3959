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
)

// configFacet says what the config facet promises.
func (p *provider) configFacet(state) fairlead.FacetDescription {
	const api, readOnly = "Dapr's configuration API does not tell what the component's backend keeps", "Dapr's configuration API cannot write"
	return fairlead.FacetDescription{
		Facet:  fairlead.Config,
		Claims: []fairlead.Claim{fairlead.Shared},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimSnapshot, Reason: "components read one key after the other"},
			{Claim: driver.ClaimDeleteVisible, Reason: "to a component of Dapr, an empty value is none"},
			{Claim: driver.ClaimWrite, Reason: readOnly},
			{Claim: driver.ClaimAtomicSet, Reason: readOnly},
			{Claim: driver.ClaimCompareAndSet, Reason: readOnly},
			{Claim: fairlead.DurableFsync, Reason: api},
			{Claim: fairlead.DurableQuorum, Reason: api},
		},
	}
}

// source is the settings of one name: the keys of the component that start with
// the name and a slash.
type source struct {
	p      *provider
	prefix string

	life context.Context // ends with Close, or with the provider's
	end  context.CancelFunc
}

// OpenSource implements the config driver's Provider.
func (p *provider) OpenSource(_ context.Context, c driver.SourceConfig) (driver.Source, error) {
	s := &source{p: p, prefix: c.Name + "/"}
	s.life, s.end = context.WithCancel(p.life)
	return s, nil
}

// Close implements the config driver's Source.
func (s *source) Close(context.Context) error {
	s.end()
	return nil
}

// Set implements the config driver's Source.
func (s *source) Set(context.Context, []driver.Change) (string, error) {
	return "", fairlead.Errorf(fairlead.Unsupported, "Dapr's configuration API cannot write; write to the component's backend")
}

// Snapshot implements the config driver's Source.
func (s *source) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	if s.life.Err() != nil {
		return driver.Snapshot{}, errSourceClosed
	}
	var all map[string]*commonv1.ConfigurationItem
	err := s.p.do(ctx, func(ctx context.Context) error {
		r, err := s.p.client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: s.p.configComponent()})
		all = r.GetItems()
		return err
	})
	if err != nil {
		return driver.Snapshot{}, err
	}
	return s.snapshot(all), nil
}

var errSourceClosed = fairlead.Errorf(fairlead.Closed, "the source is closed")

func (p *provider) configComponent() string {
	return p.current.Load().components[fairlead.Config].name
}

// snapshot picks the keys of the source.
func (s *source) snapshot(all map[string]*commonv1.ConfigurationItem) driver.Snapshot {
	values := map[string]driver.Value{}
	for name, item := range all {
		if key, ours := strings.CutPrefix(name, s.prefix); ours && key != "" {
			values[key] = driver.Value{Data: []byte(item.GetValue()), Version: item.GetVersion()}
		}
	}
	return driver.Snapshot{Version: versionOf(values), Values: values}
}

// versionOf is a digest of all keys and values, as the API has no version of
// many keys.
func versionOf(values map[string]driver.Value) string {
	digest := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := values[key]
		fmt.Fprintf(digest, "%q %q %q\n", key, v.Data, v.Version)
	}
	return hex.EncodeToString(digest.Sum(nil)[:16])
}

// Next implements the config driver's Source. It looks when the component tells
// of a change, which it may not, and every config-poll.
func (s *source) Next(ctx context.Context, version string) (driver.Snapshot, error) {
	told := s.p.news.wait(s.prefix)
	defer s.p.news.leave(told)
	poll := time.NewTicker(s.p.config.configPoll)
	defer poll.Stop()
	for {
		snapshot, err := s.Snapshot(ctx)
		if err != nil || snapshot.Version != version {
			return snapshot, err
		}
		select {
		case <-told.changed:
		case <-poll.C:
		case <-s.life.Done():
			return driver.Snapshot{}, errSourceClosed
		case <-ctx.Done():
			return driver.Snapshot{}, fairlead.ContextError(ctx)
		}
	}
}
