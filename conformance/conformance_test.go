package conformance_test

import (
	"context"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
	_ "fairlead.dev/providers/memory"
)

func TestMemory(t *testing.T) {
	for _, url := range []string{"mem://", "mem://conformance?dedupe-window=1s", "mem://conformance-directory?rpc=directory"} {
		t.Run(url, func(t *testing.T) {
			conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, url)
			})
		})
	}
}
