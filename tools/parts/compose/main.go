// Loads compose files as `docker compose` does (the compose specification's own library) and prints the project as JSON:
// interpolated from the environment, merged, every profile on, held to the schema and checked for consistency.
//
// The library's own command (compose-go/v2/cmd) gives the environment to nobody, so that a file which asks for a variable
// cannot be loaded with it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	project, err := load(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(project)
}

func load(files []string) ([]byte, error) {
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return project.MarshalJSON()
}
