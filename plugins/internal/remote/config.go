package remote

import (
	"context"

	"fairlead.dev/config/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// source implements the config driver's Source.
type source struct{ *handle }

// OpenSource implements the config driver's Provider.
func (p *provider) OpenSource(ctx context.Context, c driver.SourceConfig) (driver.Source, error) {
	h, err := newHandle(ctx, p, nil, func(openReason) (*pluginpb.Call, error) {
		return &pluginpb.Call{Body: &pluginpb.Call_ConfigOpenSource{ConfigOpenSource: &pluginpb.ConfigOpenSource{Name: c.Name}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &source{h}, nil
}

// Snapshot implements the config driver's Source.
func (s *source) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	return s.callSnapshot(ctx, &pluginpb.Call{Body: &pluginpb.Call_ConfigSnapshot{ConfigSnapshot: &pluginpb.ConfigSnapshot{}}})
}

// Next implements the config driver's Source.
func (s *source) Next(ctx context.Context, version string) (driver.Snapshot, error) {
	s.p.awaitSession(ctx)
	return s.callSnapshot(ctx, &pluginpb.Call{Body: &pluginpb.Call_ConfigNext{ConfigNext: &pluginpb.ConfigNext{Version: []byte(version)}}})
}

func (s *source) callSnapshot(ctx context.Context, c *pluginpb.Call) (driver.Snapshot, error) {
	r, err := s.callWithHandle(ctx, c, false)
	if err != nil {
		return driver.Snapshot{}, err
	}
	return convert.ToSnapshot(r.GetConfigState()), nil
}

// Set implements the config driver's Source.
func (s *source) Set(ctx context.Context, changes []driver.Change) (string, error) {
	r, err := s.callWithHandle(ctx, &pluginpb.Call{Body: &pluginpb.Call_ConfigSet{ConfigSet: convert.FromChanges(changes)}}, true)
	return string(r.GetConfigVersion().GetVersion()), err
}

// Close implements the config driver's Source.
func (s *source) Close(ctx context.Context) error { return s.closeHandle(ctx) }
