package providers

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"fairlead.dev"
)

func TestSettleClaim(t *testing.T) {
	var f fairlead.FacetDescription
	SettleClaim(&f, fairlead.DurableFsync, nil)
	SettleClaim(&f, fairlead.DurableQuorum, []Lack{{"one server", "add two"}, {Reason: "no fsync"}, {"no power", "plug it in"}})
	want := fairlead.FacetDescription{
		Claims: []fairlead.Claim{fairlead.DurableFsync},
		Missing: []fairlead.Missing{{
			Claim: fairlead.DurableQuorum, Reason: "one server; also no fsync; also no power", Remedy: "add two; also plug it in",
		}},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("%+v", f)
	}
}

func TestAddEndpoint(t *testing.T) {
	for _, refused := range []error{
		fairlead.Errorf(fairlead.Unavailable, "connection refused"),
		&fairlead.Error{Code: fairlead.Unavailable, Err: errors.New("connection refused")},
	} {
		if err := AddEndpoint(refused, "h:1"); fairlead.CodeOf(err) != fairlead.Unavailable || err.Error() != "unavailable: h:1: connection refused" {
			t.Errorf("%v", err)
		}
	}
	for _, err := range []error{nil, errors.New("x"), fairlead.Errorf(fairlead.Canceled, "%w", context.Canceled)} {
		if got := AddEndpoint(err, "h:1"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestTrigger(t *testing.T) {
	tr := NewTrigger()
	tr.Fire()
	tr.Fire()
	<-tr.Fired()
	select {
	case <-tr.Fired():
		t.Error("two requests were not one")
	default:
	}
}

// TestTakeInbox: what has come is taken before the end is reported, and by one reader only.
func TestTakeInbox(t *testing.T) {
	var changed Signal
	inbox, ended := []string{"a", "b"}, errors.New("ended")
	if got, next, err := TakeInbox(&inbox, ended, &changed); len(got) != 2 || next != nil || err != nil || inbox != nil {
		t.Errorf("with an inbox: %q, %v, %v; left are %q", got, next, err, inbox)
	}
	if got, next, err := TakeInbox(&inbox, ended, &changed); got != nil || next != nil || err != ended {
		t.Errorf("at the end: %q, %v, %v", got, next, err)
	}
	got, next, err := TakeInbox(&inbox, nil, &changed)
	if got != nil || next == nil || err != nil {
		t.Fatalf("before anything comes: %q, %v, %v", got, next, err)
	}
	changed.Fire()
	<-next
}

func TestSignal(t *testing.T) {
	var s Signal
	s.Fire()
	first, second := s.Next(), s.Next()
	s.Fire()
	<-first
	<-second
}

func TestDescribeState(t *testing.T) {
	away := errors.New("away")
	for _, test := range []struct {
		version string
		err     error
	}{{"7", nil}, {"", away}} {
		look := DescribeState(
			func(context.Context) (string, error) { return "7", test.err },
			func(v string) fairlead.Description { return fairlead.Description{Version: v} })
		if d, err := look(t.Context()); d.Version != test.version || err != test.err {
			t.Errorf("%+v, %v", d, err)
		}
	}
}
