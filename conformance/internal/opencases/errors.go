package opencases

import (
	"context"
	"errors"
	"slices"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
)

// errorCases are about errors, and about the arguments that Open refuses.
var errorCases = []suite.Case{
	{
		Name: "open/require-claimed",
		Rule: "a facet can be opened with all of its claims required",
		Run: func(t *suite.T) {
			for _, u := range offeredUsers(t) {
				f, _ := suite.FacetOf(describe(t, t.Provider()), u.facet)
				if err := tryOpen(t, u, requirements(f.Claims)...); err != nil {
					t.Errorf("%s: opening with Require of all claims that hold: %v", u.facet, err)
				}
			}
		},
	},
	{
		Name: "open/require-unknown",
		Rule: "Require of an unknown claim fails with Unsupported, and the error names the claim",
		Run: func(t *suite.T) {
			for _, u := range offeredUsers(t) {
				wantNamed(t, u, fairlead.Missing{Claim: "made.Up"})
			}
		},
	},
	{
		Name: "open/require-missing",
		Rule: "Require of a missing claim fails with Unsupported, and the error names the claim, the reason and the remedy",
		Run: func(t *suite.T) {
			for _, u := range offeredUsers(t) {
				f, _ := suite.FacetOf(t.Description(), u.facet)
				for _, m := range f.Missing {
					wantNamed(t, u, m)
				}
			}
		},
	},
	{
		Name: "open/require-unclaimed",
		Rule: "Require of any claim of the facet that does not hold fails with Unsupported, and the error names the claim",
		Run: func(t *suite.T) {
			for _, u := range offeredUsers(t) {
				f, _ := suite.FacetOf(t.Description(), u.facet)
				for _, info := range suite.ClaimsOf(u.facet) {
					if !f.Has(info.Claim) {
						wantNamed(t, u, fairlead.Missing{Claim: info.Claim})
					}
				}
			}
		},
	},
	{
		Name: "open/facet-not-offered",
		Rule: "opening a facet that is not described fails with Unsupported",
		Run: func(t *suite.T) {
			for _, u := range allUsers {
				if _, offered := suite.FacetOf(t.Description(), u.facet); !offered {
					t.WantCode(string(u.facet), tryOpen(t, u), fairlead.Unsupported)
				}
			}
		},
	},
	{
		Name: "open/facet-cancelled",
		Rule: "a call whose context has ended fails with Canceled; opening a facet may also succeed",
		Run:  facetCancelled,
	},
	{
		Name: "open/error-fields",
		Rule: "an error has its code, the operation and the provider, and its text says each of them once",
		Run: func(t *suite.T) {
			name := describe(t, t.Provider()).Provider
			for _, f := range provokeErrors(t) {
				checkError(t, f, name)
			}
		},
	},
	{
		Name: "open/error-is",
		Rule: "errors.Is matches an error with its code and with no other code, and Canceled also with context.Canceled",
		Run: func(t *suite.T) {
			for _, f := range provokeErrors(t) {
				for _, code := range fairlead.Codes() {
					if errors.Is(f.err, code) != (code == f.want) {
						t.Errorf("%s: errors.Is(%v, %s) is %v", f.what, f.err, code, code != f.want)
					}
				}
				if errors.Is(f.err, context.Canceled) != (f.want == fairlead.Canceled) {
					t.Errorf("%s: %v is context.Canceled: %v", f.what, f.err, f.want != fairlead.Canceled)
				}
			}
		},
	},
	{
		Name: "open/retry-advice",
		Rule: "the retry advice of an error is right: safe after Canceled; never after NotFound and Unsupported; after another read after Conflict",
		Run: func(t *suite.T) {
			advice := map[fairlead.Code]fairlead.Retry{
				fairlead.Canceled: fairlead.RetrySafe, fairlead.NotFound: fairlead.RetryNever,
				fairlead.Unsupported: fairlead.RetryNever, fairlead.Conflict: fairlead.RetryAfterRead,
			}
			for _, f := range provokeErrors(t) {
				if got := fairlead.CodeOf(f.err).Retry(); got != advice[f.want] {
					t.Errorf("%s: %v: a retry is %s, want %s", f.what, f.err, got, advice[f.want])
				}
			}
		},
	},
}

// failure is a call that failed, with the code that its error must have.
type failure struct {
	what string
	err  error
	want fairlead.Code
}

// provokeErrors makes calls fail in every way that a client can cause on any
// provider.
func provokeErrors(t *suite.T) []failure {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var all []failure
	for _, u := range offeredUsers(t) {
		all = append(all,
			failure{string(u.facet) + ": a call with a canceled context", openUser(t, u, t.Provider()).use(ended), fairlead.Canceled},
			failure{string(u.facet) + ": opening with made.Up required", tryOpen(t, u, fairlead.Claim("made.Up")), fairlead.Unsupported})
		switch u.facet {
		case fairlead.KV:
			all = append(all, provokeKVErrors(t)...)
		case fairlead.Config:
			_, err := t.Source(t.Name()).Get(t.Context(), "missing")
			all = append(all, failure{"config: Get of a missing key", err, fairlead.NotFound})
		}
	}
	return all
}

func provokeKVErrors(t *suite.T) []failure {
	s := t.Store()
	_, err := s.Get(t.Context(), "missing")
	all := []failure{{"kv: Get of a missing key", err, fairlead.NotFound}}
	if s.Describe().Has(kv.CAS) {
		_, err = s.Put(t.Context(), "k", nil)
		t.Must(err)
		_, err = s.Create(t.Context(), "k", nil)
		all = append(all, failure{"kv: Create of an existing key", err, fairlead.Conflict})
	}
	return all
}

func checkError(t *suite.T, f failure, provider string) {
	var e *fairlead.Error
	if !errors.As(f.err, &e) {
		t.Errorf("%s: %v (%T) is not a *fairlead.Error", f.what, f.err, f.err)
		return
	}
	facet, _, _ := strings.Cut(f.what, ":")
	if !slices.Contains(fairlead.Codes(), e.Code) || !strings.HasPrefix(e.Op, facet+".") || e.Provider != provider {
		t.Errorf("%s: code %q, operation %q of facet %s, provider %q; want provider %q", f.what, e.Code, e.Op, facet, e.Provider, provider)
	}
	text := f.err.Error()
	for _, once := range []string{e.Op + ":", ": " + e.Provider + ":", ": " + e.Code.String()} {
		if strings.Count(text, once) != 1 {
			t.Errorf("%s: the text %q has %q %d times, want once", f.what, text, once, strings.Count(text, once))
		}
	}
}

// tryOpen opens a facet of the provider under a new name and closes it.
func tryOpen(t *suite.T, u user, reqs ...fairlead.Requirement) error {
	o, err := u.open(t.Context(), t.Provider(), t.Name(), reqs...)
	if err == nil {
		t.Cleanup(o.close)
	}
	return err
}

// wantNamed demands that opening a facet with a required claim fails, and that the
// error contains the description's reason why the claim does not hold.
func wantNamed(t *suite.T, u user, m fairlead.Missing) {
	err := tryOpen(t, u, m.Claim)
	t.WantCode(string(u.facet)+": opening with "+string(m.Claim)+" required", err, fairlead.Unsupported)
	if err == nil {
		return
	}
	for _, part := range []string{string(m.Claim), m.Reason, m.Remedy} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: the error %q does not say %q", u.facet, err, part)
		}
	}
}

func requirements(claims []fairlead.Claim) []fairlead.Requirement {
	reqs := make([]fairlead.Requirement, len(claims))
	for i, c := range claims {
		reqs[i] = c
	}
	return reqs
}

func facetCancelled(t *suite.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, u := range offeredUsers(t) {
		name := t.Name()
		opening := suite.RunInBackground(func() error {
			o, err := u.open(ended, t.Provider(), name)
			if err == nil {
				t.Cleanup(o.close)
			}
			return err
		})
		t.WantEnd(string(u.facet)+": opening", opening, 0, fairlead.Canceled)
		o := openUser(t, u, t.Provider())
		t.WantEnd(string(u.facet)+": a call", suite.RunInBackground(func() error { return o.use(ended) }), fairlead.Canceled)
		if o.block != nil {
			t.WantEnd(string(u.facet)+": a call that waits", suite.RunInBackground(func() error { return o.block(ended) }), fairlead.Canceled)
		}
	}
}
