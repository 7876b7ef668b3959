package gocloud_test

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"gocloud.dev/docstore"
	"gocloud.dev/docstore/memdocstore"
	"gocloud.dev/gcerrors"

	"fairlead.dev"
	"fairlead.dev/conformance"
	kvdriver "fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

// naive is the provider with claims that it does not fulfil. It may also behave like
// a bridge that trusts the library.
type naive struct {
	bridge
	facet  fairlead.Facet
	claim  fairlead.Claim
	limits func(*fairlead.Limits)
	bare   *shelf // nil: the store is the provider's own
	// refutedBy is one of the cases that must fail.
	refutedBy string
}

type bridge interface {
	kvdriver.Provider
	psdriver.Provider
}

func (n naive) lie(d fairlead.Description, err error) (fairlead.Description, error) {
	for i, f := range d.Facets {
		if f.Facet != n.facet {
			continue
		}
		f.Missing = slices.DeleteFunc(f.Missing, func(m fairlead.Missing) bool { return m.Claim == n.claim })
		if !f.Has(n.claim) {
			f.Claims = append(f.Claims, n.claim)
		}
		if n.limits != nil {
			n.limits(&f.Limits)
		}
		d.Facets[i] = f
	}
	return d, err
}

func (n naive) Describe(ctx context.Context) (fairlead.Description, error) {
	return n.lie(n.bridge.Describe(ctx))
}

func (n naive) Await(ctx context.Context, g uint64) (fairlead.Description, error) {
	return n.lie(n.bridge.Await(ctx, g))
}

func (n naive) OpenStore(ctx context.Context, c kvdriver.StoreConfig) (kvdriver.Store, error) {
	s, err := n.bridge.OpenStore(ctx, c)
	if err != nil || n.bare == nil {
		return s, err
	}
	coll, err := n.bare.collection(c.Name)
	return bare{s, coll}, err
}

// shelf has bare collections by name.
type shelf struct {
	mu    sync.Mutex
	colls map[string]*docstore.Collection
}

func newShelf() *shelf { return &shelf{colls: map[string]*docstore.Collection{}} }

func (s *shelf) collection(name string) (c *docstore.Collection, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.colls[name] == nil {
		s.colls[name], err = memdocstore.OpenCollection("Key", nil)
	}
	return s.colls[name], err
}

// TestNaiveClaimsAreRefuted claims what the library seems to offer. The suite must
// refute every one of these claims.
func TestNaiveClaimsAreRefuted(t *testing.T) {
	for name, n := range map[string]naive{
		"a subscription of mempubsub is in order": {
			facet: fairlead.PubSub, claim: psdriver.ClaimOrdered, refutedBy: "pubsub/ordered"},
		"mempubsub keeps what is sent to a topic without groups": {
			facet: fairlead.PubSub, claim: psdriver.ClaimReplayStart, refutedBy: "pubsub/replay-start"},
		"the driver's identity of a message prevents duplicates": {
			facet: fairlead.PubSub, claim: psdriver.ClaimDedupe, refutedBy: "pubsub/dedupe",
			limits: func(l *fairlead.Limits) { l.DedupeWindow = time.Minute }},
		"Delete with a revision is a condition": {
			facet: fairlead.KV, claim: kvdriver.ClaimCAS, refutedBy: "kv/delete-if-missing", bare: newShelf()},
		"AtomicWrites is a transaction": {
			facet: fairlead.KV, claim: kvdriver.ClaimTxn, refutedBy: "kv/txn-exists", bare: newShelf(),
			limits: func(l *fairlead.Limits) { l.MaxTxnOps = 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := conformance.Run(t.Context(), func(ctx context.Context) (fairlead.Provider, error) {
				p, err := fairlead.Open(ctx, "gocloud+mem://naive")
				if err != nil {
					return nil, err
				}
				lying := n
				lying.bridge = p.(bridge)
				return lying, nil
			}, conformance.WithFacets(n.facet), conformance.WithProfile(conformance.Quick),
				conformance.WithMatch(proves(n.facet, n.claim)), conformance.WithPatience(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(report.Claims, func(c conformance.ClaimResult) bool { return c.Claim == n.claim })
			if i < 0 || report.Claims[i].Verdict != conformance.Refuted || !slices.ContainsFunc(report.Claims[i].Broken, func(b conformance.BrokenRule) bool { return b.Case == n.refutedBy }) {
				t.Fatalf("the claim %s is not refuted by %s: %+v", n.claim, n.refutedBy, report.Claims)
			}
			t.Log("refuted:", report.Claims[i].Evidence())
		})
	}
}

// proves matches the names of the cases that need a claim.
func proves(f fairlead.Facet, claim fairlead.Claim) *regexp.Regexp {
	names := "^(none"
	for _, c := range conformance.Cases() {
		if c.Facet == f && slices.Contains(c.Needs, claim) {
			names += "|" + regexp.QuoteMeta(c.Name)
		}
	}
	return regexp.MustCompile(names + ")$")
}

// bare is a store that trusts docstore: every operation is the action of the same
// name, and a transaction is a list of atomic writes.
type bare struct {
	kvdriver.Store
	coll *docstore.Collection
}

type bareDoc struct {
	Key              string
	Value            []byte
	DocstoreRevision any
}

func (b bare) doc(key string, value []byte, rev kvdriver.Revision) *bareDoc {
	d := &bareDoc{Key: key, Value: slices.Clone(value)}
	if rev != "" {
		d.DocstoreRevision, _ = b.coll.StringToRevision(string(rev))
	}
	return d
}

func (b bare) Do(ctx context.Context, ops []kvdriver.Op) []kvdriver.Result {
	out := make([]kvdriver.Result, len(ops))
	for i, op := range ops {
		d := b.doc(op.Key, op.Value, op.Revision)
		var err error
		switch op.Kind {
		case kvdriver.OpGet:
			err = b.coll.Get(ctx, d)
		case kvdriver.OpPut:
			err = b.coll.Put(ctx, d)
		case kvdriver.OpCreate:
			err = b.coll.Create(ctx, d)
		case kvdriver.OpCAS:
			err = b.coll.Replace(ctx, d)
		case kvdriver.OpDelete, kvdriver.OpDeleteIf:
			err = b.coll.Delete(ctx, d)
		}
		rev, _ := b.coll.RevisionToString(d.DocstoreRevision)
		out[i] = kvdriver.Result{Value: slices.Clone(d.Value), Revision: kvdriver.Revision(rev), Err: bareError(op.Kind, err)}
	}
	return out
}

func bareError(k kvdriver.OpKind, err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.OK:
		return nil
	case gcerrors.NotFound:
		if k == kvdriver.OpGet {
			return fairlead.Errorf(fairlead.NotFound, "%w", err)
		}
	}
	return fairlead.Errorf(fairlead.Conflict, "%w", err)
}

// Txn attaches each condition to the write of its key, since docstore has no other
// place for it.
func (b bare) Txn(ctx context.Context, x kvdriver.Txn) (kvdriver.Revision, error) {
	conditions := map[string]kvdriver.Revision{}
	for _, c := range x.Conditions {
		conditions[c.Key] = c.Revision
	}
	writes := b.coll.Actions().AtomicWrites()
	var last *bareDoc
	for _, op := range x.Writes {
		rev, conditional := conditions[op.Key]
		last = b.doc(op.Key, op.Value, rev)
		switch {
		case op.Kind == kvdriver.OpDelete:
			writes = writes.Delete(last)
		case conditional && rev == "":
			writes = writes.Create(last)
		case conditional:
			writes = writes.Replace(last)
		default:
			writes = writes.Put(last)
		}
	}
	if err := writes.Do(ctx); err != nil {
		return "", fairlead.Errorf(fairlead.Conflict, "%w", err)
	}
	rev, _ := b.coll.RevisionToString(last.DocstoreRevision)
	return kvdriver.Revision(rev), nil
}
