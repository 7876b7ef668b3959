package kv_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/memory"
)

// openExample opens an empty store. close closes it and its provider.
func openExample() (s *kv.Store, close func()) {
	ctx := context.Background()
	var opened fairlead.Closers
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	opened.Add(p)
	if s, err = kv.Open(ctx, p, "example"); err != nil {
		log.Fatal(err)
	}
	opened.Add(s)
	return s, func() {
		if err := opened.CloseWithin(time.Second); err != nil {
			log.Fatal(err)
		}
	}
}

// Open fails unless every requirement holds.
func ExampleRequire() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	_, err = kv.Open(ctx, p, "users", kv.Require(kv.CAS, kv.Watch))
	fmt.Println(err)
	_, err = kv.Open(ctx, p, "users", kv.Require(kv.CAS, fairlead.DurableQuorum))
	fmt.Println(errors.Is(err, kv.ErrUnsupported))
	// Output:
	// <nil>
	// true
}

func ExampleStore_Update() {
	s, done := openExample()
	defer done()
	visit := func(e kv.Entry) ([]byte, error) {
		n := 0
		if e.Exists() {
			n, _ = strconv.Atoi(string(e.Value))
		}
		return []byte(strconv.Itoa(n + 1)), nil
	}
	for range 3 {
		e, err := s.Update(context.Background(), "visits", visit)
		fmt.Println(string(e.Value), err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

// The error of a CAS that lost carries the present entry.
func ExampleCurrent() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	before, _ := s.Put(ctx, "color", []byte("red"))
	_, _ = s.Put(ctx, "color", []byte("green"))
	_, err := s.CAS(ctx, "color", []byte("blue"), before)
	if now, told := kv.Current(err); told {
		fmt.Println(errors.Is(err, kv.ErrConflict), string(now.Value))
		_, err = s.CAS(ctx, "color", []byte("blue"), now.Revision)
	}
	fmt.Println(err)
	// Output:
	// true green
	// <nil>
}

func ExampleStore_Txn() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	rev, _ := s.Put(ctx, "inbox/1", []byte("letter"))
	move := []kv.TxnPart{
		kv.IfRevision("inbox/1", rev), kv.IfMissing("archive/1"),
		kv.ThenDelete("inbox/1"), kv.ThenPut("archive/1", []byte("letter")),
	}
	_, err := s.Txn(ctx, move...)
	fmt.Println(err)
	_, err = s.Txn(ctx, move...)
	fmt.Println(errors.Is(err, kv.ErrConflict))
	// Output:
	// <nil>
	// true
}

func ExampleStore_List() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	for _, key := range []string{"b/1", "a/2", "a/1"} {
		_, _ = s.Put(ctx, key, nil)
	}
	for e, err := range s.List(ctx, "a/") {
		fmt.Println(e.Key, err)
	}
	// Output:
	// a/1 <nil>
	// a/2 <nil>
}

func ExampleStore_ListPage() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	for i := range 5 {
		_, _ = s.Put(ctx, fmt.Sprint("k", i), nil)
	}
	for token := ""; ; {
		page, err := s.ListPage(ctx, "", token, 2)
		if err != nil {
			log.Fatal(err)
		}
		var keys []string
		for _, e := range page.Entries {
			keys = append(keys, e.Key)
		}
		fmt.Println(keys)
		if token = page.Token; token == "" {
			break
		}
	}
	// Output:
	// [k0 k1]
	// [k2 k3]
	// [k4]
}

// A reader lists, and then watches what changes after the listing. With the
// revision of the last event, a later watch resumes where this one ended.
func ExampleStore_Watch() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	_, _ = s.Put(ctx, "a", []byte("1"))
	page, _ := s.ListPage(ctx, "", "", 100)
	_, _ = s.Put(ctx, "a", []byte("2"))
	_ = s.Delete(ctx, "a")

	after := page.Revision
	for range 2 {
		w, err := s.Watch(ctx, "", kv.After(after))
		if err != nil {
			log.Fatal(err)
		}
		for e := range w.All(ctx) {
			fmt.Println(e.Kind, e.Key, string(e.Value))
			after = e.Revision
			break // as if the program ended here
		}
		_ = w.Close(ctx)
	}
	// Output:
	// put a 2
	// delete a
}

func ExampleWithTTL() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	w, err := s.Watch(ctx, "session/")
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Put(ctx, "session/1", nil, kv.WithTTL(20*time.Millisecond))
	fmt.Println(err)
	for e := range w.All(ctx) {
		fmt.Println(e.Kind, e.Key)
		if e.Kind == kv.ExpireEvent {
			break
		}
	}
	_, err = s.Put(ctx, "session/2", nil, kv.WithTTL(0))
	fmt.Println(err)
	// Output:
	// <nil>
	// put session/1
	// expire session/1
	// kv.Put: memory: invalid: store "example", key "session/2": the time to live is 0s; pass a positive one, or leave WithTTL out for a key that stays
}

func ExampleStore_GetMany() {
	ctx := context.Background()
	s, done := openExample()
	defer done()
	_, _ = s.Put(ctx, "a", []byte("1"))
	entries, err := s.GetMany(ctx, "a", "b")
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Printf("%s %v %q\n", e.Key, e.Exists(), e.Value)
	}
	// Output:
	// a true "1"
	// b false ""
}
