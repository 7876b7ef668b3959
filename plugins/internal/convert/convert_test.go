package convert

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// message has the methods that vtprotobuf generates.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
	UnmarshalVTUnsafe([]byte) error
}

// filler gives every field a distinct value that is not zero, so that a test
// detects a field that is forgotten or exchanged for another. Every other bool is
// true; a second run with the opposite odd makes the others true.
type filler struct {
	last int
	odd  bool // the next bool
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	errorType = reflect.TypeFor[error]()
)

func (f *filler) fill(v reflect.Value) {
	f.last++
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Unix(0, time.Now().Add(time.Duration(f.last)*time.Hour).UnixNano())))
	case v.Type() == errorType:
		v.Set(reflect.ValueOf(&fairlead.Error{Code: fairlead.Conflict, Message: fmt.Sprint("error ", f.last)}))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case v.Kind() == reflect.Map:
		f.fillMap(v)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	default:
		f.fillScalar(v)
	}
}

func (f *filler) fillMap(v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for range 2 {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.SetMapIndex(key, value)
	}
}

func (f *filler) fillScalar(v reflect.Value) {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprint("text ", f.last))
	case v.Kind() == reflect.Bool:
		f.odd = !f.odd
		v.SetBool(f.odd)
	case v.CanInt():
		v.SetInt(int64(f.last))
	case v.CanUint():
		v.SetUint(uint64(f.last))
	default:
		panic("the test cannot fill a " + v.Type().String())
	}
}

// way is a conversion to the wire and back: send makes the message, and get makes
// a value of the message that arrives.
type way struct {
	send func() message
	get  func(message) any
	want any
}

// there returns the way of a D that the filler fills.
func there[D any, M message](f filler, from func(D) M, to func(M) D) way {
	d := reflect.New(reflect.TypeFor[D]()).Elem()
	f.fill(d)
	want := d.Interface().(D)
	return way{
		send: func() message { return from(want) },
		get:  func(m message) any { return to(m.(M)) },
		want: want,
	}
}

// cross encodes a message and decodes it again.
func cross(t *testing.T, m message) message {
	t.Helper()
	b, err := m.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
	if err := got.UnmarshalVT(b); err != nil {
		t.Fatal(err)
	}
	return got
}

// ways returns a way for each type that crosses. A type that crosses only as a
// part of a message is converted with that message around it.
func ways(f filler) map[string]way {
	return map[string]way{
		"Description":   there(f, FromDescription, ToDescription),
		"kv operations": there(f, fromOps, toOps),
		"kv results":    there(f, FromResults, ToResults),
		"transaction":   there(f, FromTxn, ToTxn),
		"page":          there(f, FromPage, ToPage),
		"events":        there(f, FromEvents, ToEvents),
		"subscription":  there(f, FromSubscription, ToSubscription),
		"messages":      there(f, FromMessages, ToMessages),
		"send results":  there(f, FromSendResults, ToSendResults),
		"deliveries":    there(f, FromDeliveries, ToDeliveries),
		"settlements":   there(f, FromSettlements, ToSettlements),
		"call":          there(f, FromCall, ToCall),
		"frames":        there(f, fromFrames, toFrames),
		"endpoint":      there(f, FromEndpoint, ToEndpoint),
		"endpoints":     there(f, fromEndpoints, toEndpoints),
		"snapshot":      there(f, FromSnapshot, ToSnapshot),
		"changes":       there(f, FromChanges, ToChanges),
	}
}

func fromOps(ops []kvdriver.Op) *pluginpb.KVDo { return &pluginpb.KVDo{Ops: FromOps(ops)} }
func toOps(do *pluginpb.KVDo) []kvdriver.Op    { return ToOps(do.Ops) }

func fromFrames(fs []rpcdriver.Frame) *pluginpb.RPCSend {
	return &pluginpb.RPCSend{Frames: FromFrames(fs)}
}
func toFrames(s *pluginpb.RPCSend) []rpcdriver.Frame { return ToFrames(s.Frames) }

func fromEndpoints(es []rpcdriver.Endpoint) *pluginpb.RPCEndpoints {
	return &pluginpb.RPCEndpoints{Endpoints: FromEndpoints(es)}
}
func toEndpoints(es *pluginpb.RPCEndpoints) []rpcdriver.Endpoint { return ToEndpoints(es.Endpoints) }

// TestEveryFieldCrosses shows that no field is forgotten, on either side.
func TestEveryFieldCrosses(t *testing.T) {
	for _, odd := range []bool{false, true} {
		for name, w := range ways(filler{odd: odd}) {
			t.Run(name, func(t *testing.T) {
				got := w.get(cross(t, w.send()))
				near(t, got, w.want)
				if !reflect.DeepEqual(got, w.want) {
					t.Errorf("sent\n%+v, got\n%+v", w.want, got)
				}
			})
		}
	}
}

// near makes deadlines equal that differ only by the time of the crossing: the
// remaining time crosses, not the deadline.
func near(t *testing.T, got, want any) {
	t.Helper()
	g, w := deadlines(reflect.ValueOf(got)), deadlines(reflect.ValueOf(want))
	if len(g) != len(w) {
		t.Fatalf("sent %d deadlines, got %d", len(w), len(g))
	}
	for i := range g {
		if d := g[i].Interface().(time.Time).Sub(w[i].Interface().(time.Time)).Abs(); d < time.Minute {
			g[i].Set(w[i])
		}
	}
}

// deadlines returns the fields named Deadline, which must be in slices.
func deadlines(v reflect.Value) (all []reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, deadlines(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Deadline" {
				all = append(all, v.Field(i))
			} else {
				all = append(all, deadlines(v.Field(i))...)
			}
		}
	}
	return all
}

// texts returns sorted copies of all strings in a value.
func texts(v reflect.Value) (all []string) {
	switch v.Kind() {
	case reflect.String:
		return []string{strings.Clone(v.String())}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, texts(v.Field(i))...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, texts(v.Index(i))...)
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			all = append(append(all, texts(key)...), texts(value)...)
		}
	}
	slices.Sort(all)
	return all
}

// TestStringsShareNoMemory shows that the strings that a driver may keep do not
// keep a frame in memory. On a socket, all calls of a frame share its bytes, which
// the test overwrites.
func TestStringsShareNoMemory(t *testing.T) {
	all := ways(filler{})
	for _, name := range []string{
		"kv operations", "transaction", "subscription", "messages", "settlements", "endpoint", "endpoints", "changes",
	} {
		t.Run(name, func(t *testing.T) {
			w := all[name]
			b, err := w.send().MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			m := reflect.New(reflect.TypeOf(w.send()).Elem()).Interface().(message)
			if err := m.UnmarshalVTUnsafe(b); err != nil {
				t.Fatal(err)
			}
			got := reflect.ValueOf(w.get(m))
			before := texts(got)
			for i := range b {
				b[i] = '?'
			}
			if after := texts(got); !slices.Equal(before, after) {
				t.Errorf("the strings were %q, and now are %q", before, after)
			}
		})
	}
}

// TestBytesShareMemory shows the precondition of the test above: the message
// shares memory with the bytes that the test overwrites.
func TestBytesShareMemory(t *testing.T) {
	b, err := FromMessages([]psdriver.Message{{Body: []byte("body")}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	m := &pluginpb.PubSubSend{}
	if err := m.UnmarshalVTUnsafe(b); err != nil {
		t.Fatal(err)
	}
	got := ToMessages(m)
	clear(b)
	if string(got[0].Body) != "\x00\x00\x00\x00" {
		t.Errorf("the body is %q: it was copied", got[0].Body)
	}
}
