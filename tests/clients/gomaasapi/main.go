// Drives a region with gomaasapi, the client that Juju uses, through everything Juju calls.
//
//	gomaasapi REGION_URL API_KEY
//
// Expects at least two machines that are Ready and whose power can be switched, and one subnet
// with addresses. Prints one line a check and exits with 1 when any failed.
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/juju/gomaasapi"
)

var passed, failed int

func check(name string, err error) bool {
	if err != nil {
		failed++
		fmt.Printf("FAILED %s: %v\n", name, err)
		return false
	}
	passed++
	fmt.Println("ok    ", name)
	return true
}

func expect(name string, holds bool, found interface{}) bool {
	if !holds {
		return check(name, fmt.Errorf("found %v", found))
	}
	return check(name, nil)
}

func finish() {
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gomaasapi REGION_URL API_KEY")
		os.Exit(2)
	}
	url, key := os.Args[1], os.Args[2]
	wrong := strings.Repeat("a", 18) + ":" + strings.Repeat("b", 18) + ":" + strings.Repeat("c", 32)
	_, err := gomaasapi.NewController(gomaasapi.ControllerArgs{BaseURL: url, APIKey: wrong})
	expect("a wrong key is a permission error", gomaasapi.IsPermissionError(err), err)
	controller, err := gomaasapi.NewController(gomaasapi.ControllerArgs{BaseURL: url, APIKey: key})
	if !check("connect", err) {
		finish()
	}
	for _, capability := range []string{
		gomaasapi.NetworksManagement, gomaasapi.StaticIPAddresses, gomaasapi.DevicesManagement,
		gomaasapi.StorageDeploymentUbuntu, gomaasapi.NetworkDeploymentUbuntu,
	} {
		have := controller.Capabilities()
		expect("capability "+capability, have.Contains(capability), have.Values())
	}
	lists(controller)
	subnet := spaces(controller)
	files(controller)
	noMatch(controller)
	machine := allocate(controller)
	if machine != nil {
		containers(controller, machine, subnet)
		deploy(controller, machine)
		release(controller, machine)
	}
	finish()
}

// Everything that Juju lists when it is pointed at a controller.
func lists(controller gomaasapi.Controller) {
	zones, err := controller.Zones()
	check("zones", err)
	expect("there is a zone", len(zones) > 0, len(zones))
	pools, err := controller.Pools()
	check("pools", err)
	expect("there is a pool", len(pools) > 0, len(pools))
	fabrics, err := controller.Fabrics()
	check("fabrics", err)
	expect("a fabric has a VLAN", len(fabrics) > 0 && len(fabrics[0].VLANs()) > 0, len(fabrics))
	_, err = controller.StaticRoutes()
	check("static routes", err)
	domains, err := controller.Domains()
	check("domains", err)
	expect("there is a domain", len(domains) > 0, len(domains))
	_, err = controller.Tags()
	check("tags", err)
	images, err := controller.BootResources()
	check("boot resources", err)
	found := false
	for _, image := range images {
		found = found || strings.HasPrefix(image.Architecture(), "amd64/")
	}
	expect("an image is for amd64", found, len(images))
	_, err = controller.Devices(gomaasapi.DevicesArgs{})
	check("devices", err)
	machines, err := controller.Machines(gomaasapi.MachinesArgs{})
	check("machines", err)
	expect("there are machines", len(machines) > 1, len(machines))
	none, err := controller.Machines(gomaasapi.MachinesArgs{AgentName: "somebody else"})
	check("machines by agent name", err)
	expect("nobody else has machines", len(none) == 0, len(none))
}

// Juju refuses a subnet whose space is not listed.
func spaces(controller gomaasapi.Controller) gomaasapi.Subnet {
	spaces, err := controller.Spaces()
	check("spaces", err)
	var subnet gomaasapi.Subnet
	for _, space := range spaces {
		for _, candidate := range space.Subnets() {
			expect("subnet "+candidate.CIDR()+" names its space", candidate.Space() == space.Name(), candidate.Space())
			expect("subnet "+candidate.CIDR()+" has a VLAN", candidate.VLAN() != nil, candidate.VLAN())
			subnet = candidate
		}
	}
	expect("there is a subnet", subnet != nil, len(spaces))
	return subnet
}

func files(controller gomaasapi.Controller) {
	content := []byte("\x00\x01 not a text \xff")
	err := controller.AddFile(gomaasapi.AddFileArgs{Filename: "juju-state", Content: content})
	check("a file is stored", err)
	listed, err := controller.Files("juju-")
	check("files by prefix", err)
	expect("one file is listed", len(listed) == 1, len(listed))
	file, err := controller.GetFile("juju-state")
	if check("a file is found", err) {
		back, err := file.ReadAll()
		check("a file is read", err)
		expect("its content is the same", string(back) == string(content), back)
		check("a file is deleted", file.Delete())
	}
	_, err = controller.GetFile("juju-state")
	expect("a deleted file is no match", gomaasapi.IsNoMatchError(err), err)
}

func noMatch(controller gomaasapi.Controller) {
	_, _, err := controller.AllocateMachine(gomaasapi.AllocateMachineArgs{Hostname: "nope"})
	expect("an unknown machine is no match", gomaasapi.IsNoMatchError(err), err)
	_, _, err = controller.AllocateMachine(gomaasapi.AllocateMachineArgs{MinCPUCount: 100000})
	expect("an impossible machine is no match", gomaasapi.IsNoMatchError(err), err)
	err = controller.ReleaseMachines(gomaasapi.ReleaseMachinesArgs{SystemIDs: []string{"nope"}})
	expect("an unknown machine cannot be released", gomaasapi.IsBadRequestError(err), err)
}

func allocate(controller gomaasapi.Controller) gomaasapi.Machine {
	machine, matches, err := controller.AllocateMachine(gomaasapi.AllocateMachineArgs{
		Architecture: "amd64",
		MinMemory:    512,
		MinCPUCount:  1,
		AgentName:    "model-uuid",
		Comment:      "for juju",
		Storage:      []gomaasapi.StorageSpec{{Label: "root", Size: 1}},
		Interfaces:   []gomaasapi.InterfaceSpec{{Label: "0", Space: "undefined"}},
		NotInZone:    []string{"nowhere"},
	})
	if err != nil && gomaasapi.IsBadRequestError(err) {
		// A zone that does not exist may be refused; Juju names only zones that it has listed.
		machine, matches, err = controller.AllocateMachine(gomaasapi.AllocateMachineArgs{
			Architecture: "amd64",
			MinMemory:    512,
			MinCPUCount:  1,
			AgentName:    "model-uuid",
			Comment:      "for juju",
			Storage:      []gomaasapi.StorageSpec{{Label: "root", Size: 1}},
			Interfaces:   []gomaasapi.InterfaceSpec{{Label: "0", Space: "undefined"}},
		})
	}
	if !check("allocate", err) {
		return nil
	}
	expect("the root disk is named", len(matches.Storage["root"]) == 1, matches.Storage)
	expect("the interface is named", len(matches.Interfaces["0"]) == 1, matches.Interfaces)
	expect("it is allocated", machine.StatusName() == "Allocated", machine.StatusName())
	mine, err := controller.Machines(gomaasapi.MachinesArgs{AgentName: "model-uuid"})
	check("machines of the model", err)
	expect("it is found by its agent name", len(mine) == 1, len(mine))
	check("owner data is set", machine.SetOwnerData(map[string]string{"juju-is-controller": "true", "x": "1"}))
	check("an empty value removes owner data", machine.SetOwnerData(map[string]string{"x": ""}))
	owned, err := controller.Machines(gomaasapi.MachinesArgs{
		OwnerData: map[string]string{"juju-is-controller": "true"},
	})
	check("machines by owner data", err)
	expect("it is found by its owner data", len(owned) == 1, len(owned))
	expect("it has interfaces", len(machine.InterfaceSet()) > 0, machine.InterfaceSet())
	expect("it has disks", len(machine.PhysicalBlockDevices()) > 0, machine.PhysicalBlockDevices())
	expect("it boots from an interface", machine.BootInterface() != nil, nil)
	return machine
}

// A container is a device with an address of its own; see Juju's maas provider.
func containers(controller gomaasapi.Controller, machine gomaasapi.Machine, subnet gomaasapi.Subnet) {
	boot := machine.BootInterface()
	if subnet == nil || boot == nil {
		return
	}
	before := boot.Name()
	check("an interface is renamed", boot.Update(gomaasapi.UpdateInterfaceArgs{Name: "renamed0"}))
	expect("it has its new name", boot.Name() == "renamed0", boot.Name())
	check("an interface gets its name back", boot.Update(gomaasapi.UpdateInterfaceArgs{Name: before}))
	device, err := machine.CreateDevice(gomaasapi.CreateMachineDeviceArgs{
		Hostname:      "juju-lxd-0",
		InterfaceName: "eth0",
		MACAddress:    "00:16:3e:00:00:01",
		Subnet:        subnet,
		VLAN:          subnet.VLAN(),
	})
	if !check("a container is made", err) {
		return
	}
	expect("its parent is the machine", device.Parent() == machine.SystemID(), device.Parent())
	expect("it has an interface", len(device.InterfaceSet()) == 1, len(device.InterfaceSet()))
	if len(device.InterfaceSet()) == 1 {
		nic := device.InterfaceSet()[0]
		expect("it has a link", len(nic.Links()) > 0, nic.Links())
		if len(nic.Links()) > 0 {
			expect("it has an address", nic.Links()[0].IPAddress() != "", nic.Links()[0])
			check("it is unlinked", nic.UnlinkSubnet(subnet))
			check("it is linked again", nic.LinkSubnet(gomaasapi.LinkSubnetArgs{
				Mode: gomaasapi.LinkModeStatic, Subnet: subnet,
			}))
		}
	}
	second, err := device.CreateInterface(gomaasapi.CreateInterfaceArgs{
		Name: "eth1", MACAddress: "00:16:3e:00:00:02", VLAN: subnet.VLAN(),
	})
	if check("it gets a second interface", err) {
		check("the second interface is deleted", second.Delete())
	}
	listed, err := machine.Devices(gomaasapi.DevicesArgs{})
	check("devices of the machine", err)
	expect("the machine has one device", len(listed) == 1, len(listed))
	check("the container is deleted", device.Delete())
}

func deploy(controller gomaasapi.Controller, machine gomaasapi.Machine) {
	userData := base64.StdEncoding.EncodeToString([]byte("#cloud-config\nruncmd: [[true]]\n"))
	err := machine.Start(gomaasapi.StartArgs{UserData: userData, DistroSeries: "noble", Comment: "juju"})
	if !check("deploy", err) {
		return
	}
	end := time.Now().Add(2 * time.Minute)
	seen := map[string]bool{}
	status := ""
	for time.Now().Before(end) && strings.ToLower(status) != "deployed" {
		list, err := controller.Machines(gomaasapi.MachinesArgs{
			SystemIDs: []string{machine.SystemID()}, AgentName: "model-uuid",
		})
		if err != nil || len(list) != 1 {
			check("polling", fmt.Errorf("%d machines, %v", len(list), err))
			return
		}
		status = list[0].StatusName()
		if list[0].StatusMessage() != "" {
			seen[status] = true
		}
		if strings.HasPrefix(strings.ToLower(status), "failed") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	expect("it is deployed", status == "Deployed", status)
	expect("its status has a message", seen["Deployed"], seen)
}

func release(controller gomaasapi.Controller, machine gomaasapi.Machine) {
	err := controller.ReleaseMachines(gomaasapi.ReleaseMachinesArgs{
		SystemIDs: []string{machine.SystemID()}, Comment: "no longer needed",
	})
	check("release", err)
	end := time.Now().Add(time.Minute)
	status := ""
	for time.Now().Before(end) && status != "Ready" {
		list, err := controller.Machines(gomaasapi.MachinesArgs{SystemIDs: []string{machine.SystemID()}})
		if err != nil || len(list) != 1 {
			break
		}
		status = list[0].StatusName()
		time.Sleep(100 * time.Millisecond)
	}
	expect("it is ready again", status == "Ready", status)
}
