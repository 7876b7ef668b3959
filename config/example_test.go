package config_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
)

// Settings are the settings of a program.
type Settings struct {
	LogLevel string        `default:"info"`
	Timeout  time.Duration `default:"2s"`
	Limits   struct {
		Rate int `default:"100"`
	}
}

// Validate is called before an update is applied.
func (s *Settings) Validate() error {
	if s.Limits.Rate < 1 {
		return errors.New("limits.rate must be at least 1")
	}
	return nil
}

func ExampleLoad() {
	_ = os.Setenv("SHOP_LIMITS__RATE", "250")
	defer os.Unsetenv("SHOP_LIMITS__RATE")
	s, err := config.Load[Settings](context.Background(),
		config.OptionalFile("/etc/shop.yaml"),
		config.Env("SHOP_"),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.LogLevel, s.Timeout, s.Limits.Rate)
	// Output: info 2s 250
}

func ExampleWatch() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)

	rejected := make(chan error, 1)
	w, err := config.Watch[Settings](ctx, config.From(p, "shop"), config.OnError(func(err error) { rejected <- err }))
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close(ctx)
	applied := make(chan bool, 1)
	w.OnChange(func(old, now *Settings) {
		fmt.Println("rate", old.Limits.Rate, "to", now.Limits.Rate, "and level", old.LogLevel, "to", now.LogLevel)
		applied <- true
	})

	// Another program, with the same provider and name, changes settings.
	shared, err := config.Open(ctx, p, "shop", config.Require(config.AtomicSet))
	if err != nil {
		log.Fatal(err)
	}
	defer shared.Close(ctx)
	_, err = shared.Set(ctx, config.Put("limits/rate", []byte("5")), config.Put("log-level", []byte("debug")))
	if err != nil {
		log.Fatal(err)
	}
	<-applied
	if _, err = shared.Set(ctx, config.Put("limits/rate", []byte("0"))); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-rejected)
	fmt.Println("still", w.Get().Limits.Rate)
	// Output:
	// rate 100 to 5 and level info to debug
	// config.Watch: invalid: memory "shop": Validate refuses the settings: limits.rate must be at least 1
	// still 5
}

// A callback for a part of the settings is called only if that part changes.
func ExampleOnChange() {
	ctx := context.Background()
	p, shared := openShared(ctx)
	defer p.Close(ctx)
	w, err := config.Watch[Settings](ctx, config.From(p, "shop"))
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close(ctx)
	changed := make(chan bool, 1)
	cancel := config.OnChange(w, func(s *Settings) int { return s.Limits.Rate }, func(old, now int) {
		fmt.Println("rate", old, "to", now)
		changed <- true
	})
	defer cancel()

	mustSet(ctx, shared, config.Put("log-level", []byte("debug"))) // another part
	mustSet(ctx, shared, config.Put("limits/rate", []byte("250")))
	<-changed
	fmt.Println(w.Get().LogLevel)
	// Output:
	// rate 100 to 250
	// debug
}

func ExampleExplain() {
	ctx := context.Background()
	type settings struct {
		Rate     int    `default:"100"`
		Password string `config:",secret"`
	}
	layers := []config.Option{
		config.Map(map[string]any{"rate": 200, "password": "hunter2"}),
		config.Map(map[string]any{"rate": 300}),
	}
	all, err := config.Explain[settings](ctx, "", layers...)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range all {
		fmt.Println(e)
	}
	// Output:
	// Password = [secret], from map
	// Rate = 300, from map; overrides 100 from the struct's default tags; overrides 200 from map
}

// Fields that the tag marks as secret are shown neither in a log nor in an
// error.
func ExampleRedact() {
	type settings struct {
		User     string `config:"user"`
		Password string `config:"password,secret"`
	}
	fmt.Println(config.Redact(settings{User: "ann", Password: "hunter2"}))

	_, err := config.Load[strictSettings](context.Background(), config.Map(map[string]any{"password": "hunter2"}))
	fmt.Println(err)
	// Output:
	// map[password:[secret] user:ann]
	// config.Load: invalid: Validate refuses the settings: the password "[secret]" is too short
}

type strictSettings struct {
	Password string `config:"password,secret"`
}

func (s strictSettings) Validate() error {
	if len(s.Password) < 12 {
		return fmt.Errorf("the password %q is too short", s.Password)
	}
	return nil
}

// Create and PutIf overwrite nothing that another program has written meanwhile.
func ExampleSource_Set() {
	ctx := context.Background()
	p, shared := openShared(ctx)
	defer p.Close(ctx)

	mustSet(ctx, shared, config.Create("limits/rate", []byte("100")))
	_, err := shared.Set(ctx, config.Create("limits/rate", []byte("200")))
	fmt.Println(errors.Is(err, fairlead.Conflict))

	read, err := shared.Get(ctx, "limits/rate")
	if err != nil {
		log.Fatal(err)
	}
	mustSet(ctx, shared, config.PutIf("limits/rate", []byte("300"), read.Version))
	_, err = shared.Set(ctx, config.PutIf("limits/rate", []byte("400"), read.Version)) // an old version
	fmt.Println(errors.Is(err, fairlead.Conflict))
	// Output:
	// true
	// true
}

func ExampleSource_Watch() {
	ctx := context.Background()
	p, shared := openShared(ctx)
	defer p.Close(ctx)
	mustSet(ctx, shared, config.Put("rate", []byte("100")))

	for state, err := range shared.Watch(ctx, "") {
		if err != nil {
			fmt.Println(err) // temporary; the iteration continues
			continue
		}
		fmt.Printf("rate %s\n", state.Values["rate"].Data)
		if string(state.Values["rate"].Data) == "200" {
			break
		}
		mustSet(ctx, shared, config.Put("rate", []byte("200")))
	}
	// Output:
	// rate 100
	// rate 200
}

// openShared opens the settings that several programs share.
func openShared(ctx context.Context) (fairlead.Provider, *config.Source) {
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	s, err := config.Open(ctx, p, "shop")
	if err != nil {
		log.Fatal(err)
	}
	return p, s
}

func mustSet(ctx context.Context, s *config.Source, changes ...config.Change) {
	if _, err := s.Set(ctx, changes...); err != nil {
		log.Fatal(err)
	}
}
