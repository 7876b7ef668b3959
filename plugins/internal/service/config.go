package service

import (
	"context"
	"strings"

	"fairlead.dev/config/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

func (s *session) configOpen(ctx context.Context, o *pluginpb.ConfigOpenSource) (*pluginpb.Reply, error) {
	p, err := driverOf[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	src, err := p.OpenSource(ctx, driver.SourceConfig{Name: strings.Clone(o.GetName())})
	return s.keep(ctx, src, err)
}

func (s *session) configSource(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	src, err := at[driver.Source](s, c.Handle)
	if err != nil {
		return nil, err
	}
	switch b := c.Body.(type) {
	case *pluginpb.Call_ConfigSnapshot:
		return state(src.Snapshot(ctx))
	case *pluginpb.Call_ConfigNext:
		return state(src.Next(ctx, string(b.ConfigNext.GetVersion())))
	case *pluginpb.Call_ConfigSet:
		version, err := src.Set(ctx, convert.ToChanges(b.ConfigSet))
		return &pluginpb.Reply{Body: &pluginpb.Reply_ConfigVersion{ConfigVersion: &pluginpb.ConfigVersion{Version: []byte(version)}}}, err
	}
	return nil, nil
}

func state(snap driver.Snapshot, err error) (*pluginpb.Reply, error) {
	return &pluginpb.Reply{Body: &pluginpb.Reply_ConfigState{ConfigState: convert.FromSnapshot(snap)}}, err
}
