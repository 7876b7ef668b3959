package portable

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"fairlead.dev/providers"
)

// changing is a provider whose description a test changes.
type changing struct{ *providers.Live }

func (changing) Close(context.Context) error { return nil }

func describe(claims ...providers.Claim) providers.Description {
	return providers.Description{Provider: "p", Facets: []providers.FacetDescription{{
		Facet: providers.KV, Claims: claims,
		Missing: []providers.Missing{{Claim: providers.DurableFsync, Reason: "appendfsync is everysec", Remedy: "set it to always"}},
	}}}
}

// TestLostRequirement shows that a guarantee lost at run time is noticed, and
// that it is noticed when it comes back.
func TestLostRequirement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := changing{providers.NewLive(describe(providers.DurableFsync))}
		h, err := Open(t.Context(), p, providers.KV, []providers.Requirement{providers.DurableFsync})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.Ready(); err != nil {
			t.Errorf("while it holds: %v", err)
		}
		p.Update(describe())
		synctest.Wait()
		err = h.Ready()
		if !errors.Is(err, providers.Unsupported) || !strings.Contains(err.Error(), "appendfsync is everysec; set it to always") {
			t.Errorf("after it was lost: %v", err)
		}
		p.Update(describe(providers.DurableFsync))
		synctest.Wait()
		if err := h.Ready(); err != nil {
			t.Errorf("after it came back: %v", err)
		}
	})
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A.b_c-9": true, strings.Repeat("x", 128): true,
		"": false, ".a": false, "a/b": false, "ä": false, "a b": false, "a\n": false, strings.Repeat("x", 129): false,
	} {
		if err := CheckName("store", name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}
