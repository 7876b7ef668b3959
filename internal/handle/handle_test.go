package handle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// changing is a provider whose description a test changes.
type changing struct{ *providers.Live }

func (changing) Close(context.Context) error { return nil }

func describe(claims ...fairlead.Claim) fairlead.Description {
	return fairlead.Description{Provider: "p", Facets: []fairlead.FacetDescription{{
		Facet: fairlead.KV, Claims: claims,
		Missing: []fairlead.Missing{{Claim: fairlead.DurableFsync, Reason: "appendfsync is everysec", Remedy: "set it to always"}},
	}}}
}

// TestLostRequirement loses a guarantee at run time and gets it back: calls fail
// while it is lost, and only then.
func TestLostRequirement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := changing{providers.NewLive(describe(fairlead.DurableFsync))}
		h, err := Open(t.Context(), p, fairlead.KV, []fairlead.Requirement{fairlead.DurableFsync})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.Requirements.Check(); err != nil {
			t.Errorf("while it holds: %v", err)
		}
		waiting, release := h.Requirements.WhileHeld(t.Context())
		defer release()
		p.Update(describe())
		synctest.Wait()
		if waiting.Err() == nil {
			t.Error("a wait goes on after a requirement was lost")
		}
		err = h.Requirements.Check()
		if !errors.Is(err, fairlead.Unsupported) || !strings.Contains(err.Error(), "appendfsync is everysec; set it to always") {
			t.Errorf("after it was lost: %v", err)
		}
		p.Update(describe(fairlead.DurableFsync))
		synctest.Wait()
		if err := h.Requirements.Check(); err != nil {
			t.Errorf("after it came back: %v", err)
		}
		waiting, release = h.Requirements.WhileHeld(t.Context())
		defer release()
		p.Update(describe(fairlead.DurableFsync, fairlead.Shared))
		synctest.Wait()
		if waiting.Err() != nil {
			t.Error("a wait ended though the requirement holds")
		}
	})
}

func TestValidateName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A.b_c-9": true, strings.Repeat("x", 128): true,
		"": false, ".a": false, "a/b": false, "ä": false, "a b": false, "a\n": false, strings.Repeat("x", 129): false,
	} {
		if err := ValidateName("store", name); (err == nil) != ok {
			t.Errorf("ValidateName(%q) = %v", name, err)
		}
	}
}
