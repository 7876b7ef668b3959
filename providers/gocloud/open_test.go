package gocloud_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

func TestBadURLs(t *testing.T) {
	for url, want := range map[string]string{
		"gocloud+mem://host:1":                       "no user, port or path",
		"gocloud+mem://name/path":                    "no user, port or path",
		"gocloud+mem://?x=1":                         `unknown setting "x"`,
		"gocloud+file://host/etc":                    "names only a folder",
		"gocloud+file:///no/such/folder":             "no such file",
		"gocloud+file:///etc/passwd":                 "is not a folder",
		"gocloud+file:///etc?format=ini":             `"format"`,
		"gocloud+nats://":                            "at most once",
		"gocloud+none://":                            "unknown URL scheme",
		"gocloud+likesqs://":                         "names no topic, collection or variable",
		"gocloud+likesqs://host":                     "only settings",
		"gocloud+likesqs://?topic=likesqs://{topic}": "belong together",
		"gocloud+likesqs://?topic=likesqs://{topic}&subscription=likesqs://{topic}":         "does not contain {group}",
		"gocloud+likesqs://?topic=likesqs://{topic}&subscription=likesqs://{topic}/{group}": `"ack-deadline" is missing`,
		"gocloud+likesqs://?ack-deadline=1999ms":                                            "the least is 2s",
	} {
		p, err := fairlead.Open(t.Context(), url)
		if err == nil {
			_ = p.Close(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", url, err, want)
		}
	}
}

// TestLongLeasesAreRefused: the backend would give the message to another
// consumer before the lease ends.
func TestLongLeasesAreRefused(t *testing.T) {
	url := strings.Replace(linkedURL("likesqs"), "1h", "20s", 1)
	p := openProvider(t, url)
	_, err := pubsub.Subscribe(t.Context(), p, "topic", pubsub.Group("g"), pubsub.AckDeadline(21*time.Second))
	if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "accepts at most 20s") {
		t.Errorf("got %v", err)
	}
	s, err := pubsub.Subscribe(t.Context(), p, "topic", pubsub.Group("g"), pubsub.AckDeadline(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	for _, c := range []fairlead.Claim{pubsub.Extend, pubsub.NackDelay, pubsub.Ordered, pubsub.ConfirmedAck} {
		if s.Describe().Has(c) {
			t.Errorf("%s is claimed of a driver that nothing is known of", c)
		}
	}
}

func TestDurabilityIsTheOperators(t *testing.T) {
	for url, want := range map[string]bool{linkedURL("likesqs"): false, linkedURL("likesqs") + "&durable=fsync": true} {
		d, err := openProvider(t, url).Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f, _ := d.Facet(fairlead.PubSub); f.Has(fairlead.DurableFsync) != want || f.Has(fairlead.DurableQuorum) {
			t.Errorf("%s: claims %v", url, f.Claims)
		}
		if noted := strings.Contains(fmt.Sprint(d.Notes), "asserted by the operator (durable=fsync)"); noted != want {
			t.Errorf("%s: notes %q", url, d.Notes)
		}
	}
	// What is known cannot be asserted otherwise.
	for _, url := range []string{
		"gocloud+likesqs://?topic=mem://{topic}&subscription=mem://{topic}.{group}&ack-deadline=1h&durable=fsync",
		linkedURL("likesqs") + "&collection=mem://{store}/key&durable=quorum",
		linkedURL("likesqs") + "&variable=constant://?decoder=bytes%26val={name}&durable=fsync",
		"gocloud+mem://x?durable=fsync",
	} {
		if _, err := fairlead.Open(t.Context(), url); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "durable") {
			t.Errorf("%s: %v; want Invalid, naming durable", url, err)
		}
	}
}
