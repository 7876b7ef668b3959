package pubsubcases

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/pubsub"
)

// content is a set of messages that must arrive exactly as they were sent.
type content struct {
	name  string
	rule  string
	needs []fairlead.Claim
	msgs  func(l fairlead.Limits) []pubsub.Message
}

func contentCases() []suite.Case {
	var cases []suite.Case
	for _, c := range contents {
		cases = append(cases, suite.Case{
			Name: "pubsub/" + c.name, Rule: c.rule, Needs: c.needs,
			Run: withPipe(func(p *pipe) { p.wantExact(c.msgs(p.Facet().Limits)) }),
		})
	}
	return cases
}

// regardlessOfLimits returns a content's function for messages that fit any limit.
func regardlessOfLimits(msgs ...pubsub.Message) func(fairlead.Limits) []pubsub.Message {
	return func(fairlead.Limits) []pubsub.Message { return msgs }
}

// wantExact publishes messages one by one and together, and demands that each
// arrives as it was sent, under the id of its receipt.
func (p *pipe) wantExact(msgs []pubsub.Message) {
	half := len(msgs) / 2
	receipts := p.publish(msgs[:half]...)
	for _, m := range msgs[half:] {
		r, err := p.pub.Publish(p.Context(), m)
		p.Must(err)
		receipts = append(receipts, r)
	}
	came := map[string]*pubsub.Delivery{}
	for _, d := range p.sub.receiveAndAck(len(msgs)) {
		came[d.ID] = d
	}
	for i, m := range msgs {
		d := came[receipts[i].ID]
		if d == nil {
			p.Errorf("message %d: its receipt has the id %q, and no delivery has it", i, receipts[i].ID)
			continue
		}
		wantMessage(p.T, fmt.Sprintf("message %d", i), d, m)
	}
	p.sub.wantSilence("each message came once")
}

// wantMessage compares a delivery with the published message.
func wantMessage(t *suite.T, what string, d *pubsub.Delivery, m pubsub.Message) {
	if !bytes.Equal(d.Body, m.Body) {
		t.Errorf("%s: the body of %d bytes arrived as %d bytes, %s", what, len(m.Body), len(d.Body), describeDifference(d.Body, m.Body))
	}
	if got := untraced(d.Metadata); !maps.Equal(got, m.Metadata) {
		t.Errorf("%s: metadata %.300q, want %.300q", what, got, m.Metadata)
	}
	if d.Key != m.Key || (m.ID != "" && d.ID != m.ID) {
		t.Errorf("%s: id %q and key %q, want %q and %q", what, d.ID, d.Key, m.ID, m.Key)
	}
}

func describeDifference(got, want []byte) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at %d: %.30q, want %.30q", i, got[i:], want[i:])
		}
	}
	return "one the beginning of the other"
}

// untraced returns metadata without the trace context, which package pubsub adds
// if the program that runs the suite is traced.
func untraced(metadata map[string]string) map[string]string {
	m := maps.Clone(metadata)
	delete(m, "traceparent")
	delete(m, "tracestate")
	return m
}

// distinctBytes returns n bytes that do not repeat.
func distinctBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func withMetadata(pairs ...string) pubsub.Message {
	m := pubsub.Message{Body: []byte("b"), Metadata: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		m.Metadata[pairs[i]] = pairs[i+1]
	}
	return m
}

var contents = []content{
	{name: "roundtrip", rule: "a message arrives with its id, body and metadata, under the id of its receipt",
		msgs: regardlessOfLimits(pubsub.Message{ID: "id-1", Body: []byte("body"), Metadata: map[string]string{"name": "value"}})},
	{name: "empty-body", rule: "messages with a nil or empty body arrive, with and without metadata",
		msgs: regardlessOfLimits(pubsub.Message{}, pubsub.Message{Body: []byte("not empty")}, pubsub.Message{Body: []byte{}},
			pubsub.Message{Metadata: map[string]string{"a": "b"}}, pubsub.Message{ID: "empty with id"})},
	{name: "binary-body", rule: "a body that contains every byte arrives unchanged",
		msgs: regardlessOfLimits(pubsub.Message{Body: []byte(suite.AllBytes())}, pubsub.Message{Body: []byte{0}}, pubsub.Message{Body: make([]byte, 100)},
			pubsub.Message{Body: []byte("\xff\xfe\xc3\x28 no UTF-8 \xed\xa0\x80")}, pubsub.Message{Body: []byte("\x1f\x8b\x08\x00gzip?")})},
	{name: "text-body", rule: "a body that looks like text or JSON arrives unchanged: big numbers, spaces, line ends, quotes",
		msgs: regardlessOfLimits(textMessages(`{"n":12345678901234567890, "f":1.0,"e":1e400}`, "{\"b\":1,\"a\":2,\"b\":3}\n", " \t padded \r\n", "\ufeffwith a mark",
			`"quoted"`, "null", "true", "0", "<a>&amp;</a>", "aGVsbG8=", "\u2028e\u0301 é 語 😀", "a\nb\r\nc\n\n")...)},
	{name: "large-body", rule: "bodies of 64 KiB to over 1 MiB, as far as the limit allows, arrive unchanged",
		msgs: func(l fairlead.Limits) (msgs []pubsub.Message) {
			for _, n := range []int{1<<16 - 1, 1 << 16, 1<<16 + 1, 300_000, 1<<20 - 1, 1<<20 + 1, 3 << 20} {
				if n < l.MaxMessageBytes-1000 {
					msgs = append(msgs, pubsub.Message{Body: distinctBytes(n)})
				}
			}
			return msgs
		}},
	{name: "meta-exact", rule: "metadata names and values keep their case, and may be any UTF-8; values may be empty",
		msgs: regardlessOfLimits(withMetadata("Key", "1", "key", "2", "KEY", "3", "kEy", ""), withMetadata("ключ", "значение", "語", "😀", "e\u0301", "\u00e9", "\u00e9", "e\u0301"),
			withMetadata("empty", ""), withMetadata("n", "12345678901234567890", "b", "true", "j", `{"a":1}`, "%20", "%41+b", "trim", "  a  "))},
	{name: "meta-odd", rule: "metadata names and values may hold spaces, colons, line ends, quotes and zero bytes",
		msgs: regardlessOfLimits(withMetadata("a b", "c d", " a", "x", "a ", "y"), withMetadata("a:b", "c: d", ":", ":", "a: ", ""),
			withMetadata("line\nend", "a\nb", "cr\r\nlf", "a\r\nb: c\r\n\r\nd", "value", "ends\n"), withMetadata("tab\t", "\t", `"q"`, `'\"`, "=", "=&;,", "zero", "a\x00b", "\x00", "z"))},
	{name: "meta-fields", rule: "metadata names that a backend or protocol uses itself work like any other",
		msgs: regardlessOfLimits(withMetadata("id", "a", "ID", "b", "key", "c", "body", "d", "data", "e", "time", "f", "attempt", "g", "position", "h", "topic", "i", "metadata", "j", "b", "k", "m", "l", "k", "m"),
			withMetadata("Nats-Msg-Id", "x", "Nats-Expected-Stream", "none", "Nats-TTL", "1s", "Content-Type", "text/plain", "content-length", "5", "grpc-timeout", "1n", "x-bin", "not base64!"),
			withMetadata("__key", "x", "_", "y", "$", "z", "ttlInSeconds", "1", "rawPayload", "true", "specversion", "1.0", "datacontenttype", "application/json"))},
	{name: "meta-long", rule: "metadata values of 16 KiB and names of 512 bytes arrive whole",
		msgs: regardlessOfLimits(withMetadata("long", strings.Repeat("long ", 3277)), withMetadata(strings.Repeat("n", 512), "v", strings.Repeat("n", 511)+"m", "w"))},
	{name: "meta-many", rule: "a hundred metadata entries arrive", msgs: regardlessOfLimits(withMetadata(func() (pairs []string) {
		for i := range 100 {
			pairs = append(pairs, fmt.Sprintf("name-%d", i), fmt.Sprintf("value-%d", i))
		}
		return pairs
	}()...))},
	{name: "meta-none", rule: "a message without metadata arrives without metadata, also between messages that have some",
		msgs: regardlessOfLimits(pubsub.Message{Body: []byte("1")}, withMetadata("a", "b"), pubsub.Message{Body: []byte("2")}, withMetadata("c", "d"), pubsub.Message{Body: []byte("3")})},
	{name: "id-given", rule: "an id that the publisher gives arrives exactly, whatever UTF-8 it contains",
		msgs: regardlessOfLimits(pubsub.Message{ID: "plain"}, pubsub.Message{ID: "Plain"}, pubsub.Message{ID: "1"}, pubsub.Message{ID: "0-1"}, pubsub.Message{ID: " with spaces "},
			pubsub.Message{ID: "line\r\nend:\x00"}, pubsub.Message{ID: "語/😀*>.#"}, pubsub.Message{ID: strings.Repeat("i", 1000)}, pubsub.Message{Body: []byte("none")})},
	{name: "same-body", rule: "messages with equal bodies and no id are each delivered",
		msgs: regardlessOfLimits(textMessages("same", "same", "same", "same", "same")...)},
	{name: "key-exact", needs: []fairlead.Claim{pubsub.OrderedByKey}, rule: "an ordering key arrives exactly, also where messages with and without a key are mixed",
		msgs: regardlessOfLimits(pubsub.Message{Key: "plain"}, pubsub.Message{Key: "Plain"}, pubsub.Message{}, pubsub.Message{Key: " a b:\r\n\x00"}, pubsub.Message{Key: "語.>*/"}, pubsub.Message{Key: strings.Repeat("k", 1000)})},
}
