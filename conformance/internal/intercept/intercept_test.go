package intercept

import (
	"context"
	"errors"
	"testing"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	_ "fairlead.dev/providers/memory"
	rpcdriver "fairlead.dev/rpc/driver"
)

// plain has no facet.
type plain struct{ fairlead.Provider }

// cleaning is a providers.Cleaner.
type cleaning struct{ plain }

func (cleaning) Clean(context.Context, string) ([]string, error) { return []string{"rpc x"}, nil }

// local is a rpcdriver.Local, too.
type local struct{ cleaning }

func (local) Life() context.Context { return context.Background() }
func (local) NextListener(context.Context, string, func(rpcdriver.Listener) bool) (rpcdriver.Listener, error) {
	return nil, nil
}

func opened(t *testing.T, p fairlead.Provider, h Hooks) fairlead.Provider {
	t.Helper()
	p, err := Opener(func(context.Context) (fairlead.Provider, error) { return p, nil }, h)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestOptionalInterfaces: the wrapper has the optional interfaces of the provider, and no
// other, and a facet that the provider does not implement fails.
func TestOptionalInterfaces(t *testing.T) {
	for _, c := range []struct {
		p              fairlead.Provider
		cleans, isHere bool
	}{{plain{}, false, false}, {cleaning{}, true, false}, {local{}, true, true}} {
		p := opened(t, c.p, Hooks{})
		cleaner, cleans := p.(providers.Cleaner)
		if _, isHere := p.(rpcdriver.Local); cleans != c.cleans || isHere != c.isHere {
			t.Errorf("%T: Cleaner %v, Local %v", c.p, cleans, isHere)
		}
		if cleans {
			if removed, err := cleaner.Clean(t.Context(), ""); err != nil || len(removed) != 1 {
				t.Errorf("%T: Clean: %v, %v", c.p, removed, err)
			}
		}
		if _, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{}); fairlead.CodeOf(err) != fairlead.Internal {
			t.Errorf("%T: OpenStore: %v", c.p, err)
		}
	}
}

// TestRefusedCalls: a call that Before refuses is not made, and each of its operations
// has the error. A Close is made.
func TestRefusedCalls(t *testing.T) {
	refused := errors.New("refused")
	var refuse error
	p, err := fairlead.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	p = opened(t, p, Hooks{Before: func(context.Context, *Call) error { return refuse }})
	s, err := p.(driver.Provider).OpenStore(t.Context(), driver.StoreConfig{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	put := driver.Op{Kind: driver.OpPut, Key: "k"}
	refuse = refused
	for _, r := range s.Do(t.Context(), []driver.Op{put, put}) {
		if !errors.Is(r.Err, refused) {
			t.Errorf("a refused Do: %v", r.Err)
		}
	}
	refuse = nil
	if r := s.Do(t.Context(), []driver.Op{{Kind: driver.OpGet, Key: "k"}}); fairlead.CodeOf(r[0].Err) != fairlead.NotFound {
		t.Errorf("after a refused Put: %v", r[0].Err)
	}
	refuse = refused
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	refuse = nil
	if _, err := p.Describe(t.Context()); fairlead.CodeOf(err) != fairlead.Closed {
		t.Errorf("Describe of a closed provider: %v", err)
	}
}
