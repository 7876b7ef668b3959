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

// Settings is what a program is told.
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
