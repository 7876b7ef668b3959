package page

import (
	"strings"
	"testing"

	"fairlead.dev"
	"fairlead.dev/conformance"
)

// TestTodoOfDurability: the page says first what nobody has tried, and what only the
// operator says, each once for all facets.
func TestTodoOfDurability(t *testing.T) {
	basis := &fairlead.Basis{Claim: fairlead.DurableFsync, Kind: fairlead.Asserted, Detail: "assert-durable=true"}
	claim := func(f fairlead.Facet, kills int) conformance.ClaimResult {
		return conformance.ClaimResult{Facet: f, Claim: fairlead.DurableFsync, Verdict: conformance.AssertedByOperator, Basis: basis, Kills: kills, Held: 1, Rules: 3}
	}
	r := &conformance.Report{Claims: []conformance.ClaimResult{claim(fairlead.KV, 0), claim(fairlead.PubSub, 5)}}
	all := todos(r, nil)
	if len(all) != 2 || !strings.HasPrefix(all[0].Text, "Not tried by a kill: DurableFsync (kv). ") ||
		!strings.HasPrefix(all[1].Text, "Asserted, and not verified: DurableFsync (kv), DurableFsync (pubsub). ") {
		t.Errorf("%q", all)
	}
	if got := r.Claims[0].Evidence(); !strings.Contains(got, "the backend was not killed") {
		t.Errorf("the evidence: %s", got)
	}
	if got := r.Claims[1].Evidence(); !strings.Contains(got, "; 5 kills; ") {
		t.Errorf("the evidence: %s", got)
	}
}
