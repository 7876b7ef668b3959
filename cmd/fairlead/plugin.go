package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"fairlead.dev/plugins"
	"fairlead.dev/providers"
)

func newPluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "List, describe, verify, install and run plugins",
		Long: `A plugin is a provider in a separate process: a binary fairlead-NAME and its
manifest fairlead-NAME.json in a plugin folder. The URL plugin+NAME:// opens it.

The environment variable ` + plugins.PathEnv + ` lists the plugin folders. If it is not
set, they are fairlead/plugins below XDG_DATA_HOME (~/.local/share) and
/usr/local/lib/fairlead/plugins.`,
		Args:        requireSubcommand,
		RunE:        func(*cobra.Command, []string) error { return nil },
		Annotations: commandGroup,
	}
	cmd.AddCommand(newPluginList(), newPluginDescribe(), newPluginVerify(), newPluginInstall(), newPluginRun())
	return cmd
}

// installed is a plugin in JSON, with the text of its problem.
type installed struct {
	plugins.Manifest
	Dir     string `json:"dir"`
	Path    string `json:"path"`
	Problem string `json:"problem,omitempty"`
}

func toJSON(p plugins.Installed, problem error) installed {
	j := installed{Manifest: p.Manifest, Dir: p.Dir, Path: p.Path}
	if problem != nil {
		j.Problem = problem.Error()
	}
	return j
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// addJSONFlag adds --json to a command.
func addJSONFlag(cmd *cobra.Command, asJSON *bool) *cobra.Command {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
	return cmd
}

// findPlugin returns the installed plugin of that name that a host would use,
// even if it has a problem.
func findPlugin(name string) (plugins.Installed, error) {
	all, err := plugins.Find(plugins.Folders())
	if err != nil {
		return plugins.Installed{}, &operationError{err}
	}
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
	}
	return plugins.Installed{}, fmt.Errorf("there is no plugin %q in %s", name, searchedFolders(all))
}

// searchedFolders names the plugin folders, and the plugins in them or how to
// install one.
func searchedFolders(others []plugins.Installed) string {
	s := strings.Join(plugins.Folders(), ", ")
	if len(others) == 0 {
		return s + "; install one with: fairlead plugin install BINARY"
	}
	names := make([]string, len(others))
	for i, p := range others {
		names[i] = p.Name
	}
	return s + "; installed: " + strings.Join(names, ", ")
}

func newPluginList() *cobra.Command {
	var asJSON bool
	return addJSONFlag(&cobra.Command{
		Use:     "list",
		Short:   "List the plugins in the plugin folders",
		Example: "  fairlead plugin list",
		Args:    requireArguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := plugins.Find(plugins.Folders())
			if err != nil {
				return &operationError{err}
			}
			if asJSON {
				return printList(cmd.OutOrStdout(), found)
			}
			if len(found) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no plugin in", searchedFolders(nil))
				return nil
			}
			t := newTable(cmd.OutOrStdout(), "Plugins", "name", "schemes", "folder", "problem")
			for _, p := range found {
				t.AppendRow(table.Row{p.Name, strings.Join(schemesOf(p), ", "), p.Dir, problemText(p.Problem)})
			}
			t.Render()
			return nil
		},
	}, &asJSON)
}

func printList(out io.Writer, found []plugins.Installed) error {
	list := []installed{}
	for _, p := range found {
		list = append(list, toJSON(p, p.Problem))
	}
	return printJSON(out, list)
}

func schemesOf(p plugins.Installed) []string {
	var names []string
	for _, s := range p.Schemes {
		names = append(names, "plugin+"+s.Name+"://")
	}
	return names
}

func problemText(problem error) string {
	if problem == nil {
		return "none"
	}
	return problem.Error()
}

func newPluginDescribe() *cobra.Command {
	var asJSON bool
	return addJSONFlag(&cobra.Command{
		Use:     "describe NAME",
		Short:   "Print a plugin's schemes and their settings, from its manifest",
		Example: "  fairlead plugin describe redis",
		Args:    requireOneArgument("the name of a plugin", "redis"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := findPlugin(args[0])
			if err != nil {
				return err
			}
			if p.Problem != nil {
				return &operationError{p.Problem}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), toJSON(p, nil))
			}
			printPlugin(cmd.OutOrStdout(), p)
			return nil
		},
	}, &asJSON)
}

func printPlugin(out io.Writer, p plugins.Installed) {
	fmt.Fprintf(out, "%s: %s\n", p.Name, p.Path)
	fmt.Fprintln(out, "- sha256", p.SHA256)
	fmt.Fprintf(out, "- protocol versions: %s\n", strings.Trim(fmt.Sprint(p.Protocols), "[]"))
	if len(p.Env) > 0 {
		fmt.Fprintln(out, "- environment variables that it receives:", strings.Join(p.Env, ", "))
	}
	for _, s := range p.Schemes {
		t := newTable(out, "plugin+"+s.Name+"://  "+s.Help, "setting", "kind", "default", "meaning")
		for _, set := range s.Settings {
			t.AppendRow(table.Row{set.Name, acceptedValues(set), set.Default, set.Help})
		}
		t.Render()
	}
}

// acceptedValues describes the values that a setting accepts.
func acceptedValues(s plugins.Setting) string {
	switch {
	case len(s.Values) > 0:
		return strings.Join(s.Values, " | ")
	case s.Min == 0 && s.Max == 0:
		return string(s.Kind)
	case s.Max == 0:
		return fmt.Sprintf("%s, at least %s", s.Kind, bound(s.Kind, s.Min))
	default:
		return fmt.Sprintf("%s, %s to %s", s.Kind, bound(s.Kind, s.Min), bound(s.Kind, s.Max))
	}
}

func bound(k providers.Kind, n int64) string {
	if k == providers.Duration {
		return time.Duration(n).String()
	}
	return strconv.FormatInt(n, 10)
}
