package conformance

import (
	"fairlead.dev/kv"
	"fairlead.dev/providers"
)

func init() { suites = append(suites, kvBasic) }

// kvBasic is what every store does.
var kvBasic = []Case{
	{
		Name: "kv/put-get", Facet: providers.KV,
		Rule: "a value that was put is read back to the byte, with the revision that the put returned",
		Run: func(t *T) {
			s := t.Store()
			rev, err := s.Put(t.Context(), "k", []byte("v\x00\xff"))
			t.Must(err)
			e, err := s.Get(t.Context(), "k")
			t.Must(err)
			if string(e.Value) != "v\x00\xff" || e.Revision != rev || e.Key != "k" {
				t.Errorf("got %+v, want the value put under revision %q", e, rev)
			}
		},
	},
	{
		Name: "kv/absent-cas", Facet: providers.KV, Lacks: kv.CAS,
		Rule: "without the claim CAS, Create answers Unsupported",
		Run: func(t *T) {
			_, err := t.Store().Create(t.Context(), "k", nil)
			t.WantCode("Create", err, providers.Unsupported)
		},
	},
}
