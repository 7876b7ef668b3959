package service

import (
	"context"
	"strings"

	"fairlead.dev/config/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

func (s *session) openSource(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	p, err := driverFor[driver.Provider](s)
	if err != nil {
		return nil, err
	}
	src, err := p.OpenSource(ctx, driver.SourceConfig{Name: strings.Clone(c.GetConfigOpenSource().GetName())})
	return s.registerHandle(ctx, src, err)
}

func (s *session) readSnapshot(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	src, err := findHandle[driver.Source](s, c.Handle)
	if err != nil {
		return nil, err
	}
	return snapshotReply(src.Snapshot(ctx))
}

func (s *session) nextSnapshot(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	src, err := findHandle[driver.Source](s, c.Handle)
	if err != nil {
		return nil, err
	}
	return snapshotReply(src.Next(ctx, string(c.GetConfigNext().GetVersion())))
}

func snapshotReply(snap driver.Snapshot, err error) (*pluginpb.Reply, error) {
	return &pluginpb.Reply{Body: &pluginpb.Reply_ConfigState{ConfigState: convert.FromSnapshot(snap)}}, err
}

func (s *session) setValues(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	src, err := findHandle[driver.Source](s, c.Handle)
	if err != nil {
		return nil, err
	}
	version, err := src.Set(ctx, convert.ToChanges(c.GetConfigSet()))
	return &pluginpb.Reply{Body: &pluginpb.Reply_ConfigVersion{ConfigVersion: &pluginpb.ConfigVersion{Version: []byte(version)}}}, err
}
