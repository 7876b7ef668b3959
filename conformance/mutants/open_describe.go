package mutants

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
)

// openDescribeMutants describe themselves wrongly.
var openDescribeMutants = []Mutant{
	{
		Name: "open-nameless", Breaks: "the description has no provider's name", CaughtBy: cases("open/describe-names"),
		Open: describing(func(d *fairlead.Description) { d.Provider = "" }),
	},
	{
		Name: "open-no-generation", Breaks: "the generation is 0", CaughtBy: cases("open/describe-names"),
		Open: describing(func(d *fairlead.Description) { d.Generation = 0 }),
	},
	{
		Name: "open-facet-twice", Breaks: "a facet is described twice", CaughtBy: cases("open/describe-names"),
		Open: describing(func(d *fairlead.Description) { d.Facets = append(d.Facets, d.Facets[0]) }),
	},
	{
		Name: "open-claim-unknown", Breaks: "a claim is made that the facet does not know", CaughtBy: cases("open/claims-known"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Claims = append(f.Claims, "kv.Fast") }),
	},
	{
		Name: "open-claim-twice", Breaks: "a claim is made twice", CaughtBy: cases("open/claims-known"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Claims = append(f.Claims, f.Claims[0]) }),
	},
	{
		Name: "open-claimed-and-missing", Breaks: "a claim is made, and said to be missing", CaughtBy: cases("open/claims-or-missing"),
		Open: ofKV(func(f *fairlead.FacetDescription) { f.Claims = append(f.Claims, f.Missing[0].Claim) }),
	},
	{
		Name: "open-missing-silent", Breaks: "what is missing has no reason", CaughtBy: cases("open/claims-or-missing"),
		Open: ofKV(func(f *fairlead.FacetDescription) { f.Missing[0].Reason = "" }),
	},
	{
		Name: "open-basis-of-missing", Breaks: "a claim that is not made rests on something", CaughtBy: cases("open/claims-basis"),
		Open: ofKV(func(f *fairlead.FacetDescription) {
			f.Bases = []fairlead.Basis{{Claim: f.Missing[0].Claim, Kind: fairlead.Verified, Detail: "a setting"}}
		}),
	},
	{
		Name: "open-durability-silent", Breaks: "durability is neither claimed nor missing", CaughtBy: cases("open/durability-reason"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Missing = nil }),
	},
	{
		Name: "open-short-keys", Breaks: "keys of 255 bytes are the longest", CaughtBy: cases("open/limits-kv"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Limits.MaxKeyBytes = 255 }),
	},
	{
		Name: "open-txn-unlimited", Breaks: "transactions are claimed, and may hold no operation", CaughtBy: cases("open/limits-kv"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Limits.MaxTxnOps = 0 }),
	},
	{
		Name: "open-ttl-limits-unclaimed", Breaks: "times to live have a resolution, and are not claimed", CaughtBy: cases("open/limits-kv"),
		Open: describing(unclaim(fairlead.KV, "kv.TTL")),
	},
	{
		Name: "open-long-ack-deadline", Breaks: "the shortest acknowledgement deadline is above the default", CaughtBy: cases("open/limits-pubsub"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Limits.MinAckDeadline = time.Minute }),
	},
	{
		Name: "open-no-dedupe-window", Breaks: "ids are said to be remembered, for no time", CaughtBy: cases("open/limits-pubsub"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Limits.DedupeWindow = 0 }),
	},
	{
		Name: "open-negative-limit", Breaks: "a limit is -1", CaughtBy: cases("open/limits-positive"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Limits.Pipelines = -1 }),
	},
	{
		Name: "open-description-drifts", Breaks: "the description changes within a generation", CaughtBy: cases("open/describe-stable"),
		Open: withHooksOf(func() hooks {
			var calls atomic.Int64
			return hooks{describe: func(d *fairlead.Description) {
				d.Notes = []string{fmt.Sprintf("described %d times", calls.Add(1))}
			}}
		}),
	},
	{
		Name: "open-generation-falls", Breaks: "generations go back", CaughtBy: cases("open/describe-stable"),
		Open: withHooksOf(func() hooks {
			var calls atomic.Uint64
			return hooks{describe: func(d *fairlead.Description) { d.Generation = 1000 - calls.Add(1) }}
		}),
	},
	{
		Name: "open-note-bytes", Breaks: "a note is no text", CaughtBy: cases("open/describe-json"),
		Open: describing(func(d *fairlead.Description) { d.Notes = []string{"\xff"} }),
	},
	{
		Name: "open-description-shared", Breaks: "all callers get the same memory", CaughtBy: cases("open/describe-owned"),
		Open: withHooksOf(func() hooks {
			var once sync.Once
			var shared fairlead.Description
			return hooks{describe: func(d *fairlead.Description) {
				once.Do(func() { shared = *d })
				*d = shared
			}}
		}),
	},
	{
		Name: "open-password-shown", Breaks: "the description holds the password", CaughtBy: cases("open/no-credentials"),
		Open: describing(func(d *fairlead.Description) { d.Endpoint = "app:secret@10.0.0.1:6379" }),
	},
	{
		Name: "open-password-noted", Breaks: "a note holds the URL with its user", CaughtBy: cases("open/no-credentials"),
		Open: describing(func(d *fairlead.Description) { d.Notes = []string{"replica of redis://app@10.0.0.1"} }),
	},
	{
		Name: "open-claims-flicker", Breaks: "a claim is made at every other look", CaughtBy: cases("open/require-claimed"),
		Open: withHooksOf(func() hooks {
			var calls atomic.Int64
			return hooks{describe: func(d *fairlead.Description) {
				if calls.Add(1)%2 == 1 {
					unclaim(fairlead.KV, "kv.CAS")(d)
				}
			}}
		}),
	},
	{
		Name: "open-claims-anything", Breaks: "every claim that is asked for is claimed", CaughtBy: cases("open/require-unknown"),
		Open: facetsOf(func(f *fairlead.FacetDescription) { f.Claims = append(f.Claims, "made.Up") }),
	},
	{
		Name: "open-requirement-ignored", Breaks: "what was said to be missing is let through",
		CaughtBy: cases("open/require-missing", "open/require-unclaimed"),
		Open: drifting(func(d *fairlead.Description) {
			d.Facets = slices.Clone(d.Facets)
			f := &d.Facets[0]
			f.Missing = append(f.Missing, fairlead.Missing{Claim: f.Claims[0], Reason: "so it was said"})
			f.Claims = f.Claims[1:]
		}),
	},
	{
		Name: "open-reason-forgotten", Breaks: "the error leaves out why a claim is missing", CaughtBy: cases("open/require-missing"),
		Open: drifting(func(d *fairlead.Description) { d.Facets[0].Missing[0].Reason = "a reason that is not given again" }),
	},
	{
		Name: "open-facet-hidden", Breaks: "a facet that is not described can be opened", CaughtBy: cases("open/facet-not-offered"),
		Open: drifting(func(d *fairlead.Description) {
			d.Facets = slices.DeleteFunc(d.Facets, func(f fairlead.FacetDescription) bool { return f.Facet == fairlead.PubSub })
		}),
	},
}
