package gocloud_test

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	_ "fairlead.dev/providers/gocloud"
)

func TestMem(t *testing.T) {
	for url, profile := range map[string]conformance.Profile{
		"gocloud+mem://":            conformance.Quick,
		"gocloud+mem://conformance": conformance.Full,
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, url)
			}, conformance.WithProfile(profile))
		})
	}
}
