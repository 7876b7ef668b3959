package redis

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead.dev/pubsub/driver"
)

// replyOf makes a reply of any shape of some bytes.
func replyOf(data []byte) []any {
	list, _ := replyList(data, 0)
	return list
}

func replyList(data []byte, depth int) (list []any, rest []byte) {
	for len(data) > 0 {
		kind := data[0]
		data = data[1:]
		switch kind % 6 {
		case 0:
			return list, data
		case 1:
			list = append(list, nil)
		case 2:
			list = append(list, int64(int8(kind)))
		case 3:
			list = append(list, []any{int64(math.MaxInt64), int64(math.MinInt64)}[kind/6%2])
		case 4:
			n := min(int(kind/6), len(data))
			list, data = append(list, string(data[:n])), data[n:]
		case 5:
			if depth < 3 {
				var inner []any
				inner, data = replyList(data, depth+1)
				list = append(list, inner)
			}
		}
	}
	return list, nil
}

// A reply that a script does not make is an error, or is read without harm.

func FuzzParsePage(f *testing.F) {
	f.Add([]byte("\x04\x04\x05\x0ak\x221-1.v"))
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := parsePage(replyOf(data))
		if err != nil && len(page.Entries) > 0 {
			t.Errorf("entries and %v", err)
		}
	})
}

func FuzzParseJoin(f *testing.F) {
	f.Add([]byte("\x10ok\x0ae\x05\x161-1\x02"), "1-1")
	f.Add([]byte("\x2acompacted"), "1-1")
	f.Fuzz(func(t *testing.T, data []byte, position string) {
		if j, err := parseJoin(replyOf(data), position); err != nil && j != (joinResult{}) {
			t.Errorf("%+v and %v", j, err)
		}
	})
}

func FuzzParseLeases(f *testing.F) {
	f.Add([]byte("\x161-1\x02\x05\x22a b:1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseLeases(replyOf(data))
		for i := 1; err == nil && i < len(l.endpoints); i++ {
			if l.endpoints[i-1].Address >= l.endpoints[i].Address {
				t.Errorf("not in order: %q", l.endpoints)
			}
		}
	})
}

func FuzzParseDeliveries(f *testing.F) {
	f.Add([]byte("\x161-1\x02\x02\x0e\x0ab\x0ax"))
	f.Add([]byte("\x161-1\x02\x02\x09"))
	f.Fuzz(func(t *testing.T, data []byte) {
		deliveries, err := parseDeliveries(replyOf(data))
		for _, d := range deliveries {
			tok, tokenErr := parseToken(d.Token)
			if err != nil || tokenErr != nil || d.Attempt < 1 || d.Position != tok.id {
				t.Errorf("%+v, %v, %v", d, err, tokenErr)
			}
		}
	})
}

func FuzzBroadcastReply(f *testing.F) {
	f.Add([]byte("\x10ok\x05\x161-1\x02\x00\x05\x05\x161-1\x05\x0ab\x0ax"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reply := replyOf(data)
		parseCursor(elementOf(reply, 1))
		for _, e := range asList(elementOf(reply, 2)) {
			id, fields := splitEntry(e)
			decodeEntry(id, fields)
		}
		lostReply(reply)
	})
}

func FuzzStreamID(f *testing.F) {
	for _, s := range []string{"0-0", "1-1", "18446744073709551615-18446744073709551615", "1", "-1", "1-", "01-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if isStreamID(s) && !isHead(s) {
			t.Errorf("%q is a stream's ID and no revision", s)
		}
		timeOfID(s)
	})
}

// What is stored of a message is what is delivered.
func FuzzMessageFields(f *testing.F) {
	f.Add("body", "id", "key", "name", "value")
	f.Add("", "", "", "", "")
	f.Add("\xff", "b", "k", "m", "1:a1:b")
	f.Fuzz(func(t *testing.T, body, id, key, name, value string) {
		if !utf8.ValidString(id) || !utf8.ValidString(key) || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return // a driver gets valid UTF-8 only: the portable layer refuses the rest
		}
		m := driver.Message{ID: id, Key: key, Body: []byte(body)}
		if name != "" {
			m.Metadata = map[string]string{name: value, name + "2": strings.ToUpper(value)}
		}
		fields := appendFields(nil, m)
		d := decodeEntry("1-1", fields)
		if id == "" {
			m.ID = "1-1"
		}
		got := driver.Message{ID: d.ID, Key: d.Key, Body: d.Body, Metadata: d.Metadata}
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" || orderingKey(fields) != key {
			t.Error(diff)
		}
	})
}
