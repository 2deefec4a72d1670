#!/bin/busybox sh
# First program of the machine: loads the few drivers that the root disk needs, waits for it, mounts it, hands over.
# @PARTUUID@ and @PARTNAME@ are filled in when the disk is written.
b=/bin/busybox
$b mount -t devtmpfs devtmpfs /dev
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys

while read -r module; do
    $b insmod "/modules/$module" || echo "ingot: the kernel module $module did not load" >/dev/kmsg
done </modules/order

# Two volumes of one recipe have the same identifiers, the boot partition's among them. Which of the two was
# booted, only the firmware can tell: by its boot entry, whose device path leads to the disk's controller
# (UEFI 2.10, sections 3.1.3 "Load Options" and 10.3 "Device Path Nodes").
efi=/sys/firmware/efi/efivars
global=8be4df61-93ca-11d2-aa0d-00e098032b8c
bytes() { $b hexdump -v -e '1/1 "%02X "' "$1" 2>/dev/null; }

# Set $controller to where Linux has the PCI device of the boot entry whose bytes are given. There is none
# behind a boot entry that names no PCI device, or one in words that only the firmware understands.
follow_entry() {
    [ $# -gt 12 ] || return
    shift 10 # of the file system: attributes; of the entry: attributes, length of the path
    while [ $# -ge 2 ] && [ "$1$2" != 0000 ]; do shift 2; done # its name
    [ $# -ge 2 ] && shift 2
    pattern='/sys/devices/pci????:??'
    while [ $# -ge 6 ] && [ "$1" != 7F ]; do
        [ "$1$2" = 0101 ] && pattern="$pattern/????:??:$(printf '%02x.%x' "0x$6" "0x$5")"
        length=$((0x$4$3))
        [ "$length" -ge 4 ] && [ "$length" -le $# ] || break
        shift "$length"
    done
    case $pattern in
        */*/*/*/*) for place in $pattern; do [ -d "$place" ] && controller=$place; done ;;
    esac
}

controller=
if [ -d $efi ] && $b mount -t efivarfs -o ro efivarfs $efi 2>/dev/null; then
    set -- $(bytes $efi/BootCurrent-$global)
    [ $# -eq 6 ] && follow_entry $(bytes "$efi/Boot$6$5-$global")
    $b umount $efi
fi

# Kernels from 6.9 on export PARTUUID, all export PARTNAME; either names a partition of this recipe alone.
# With an argument, only the disks of that controller count.
find_root() {
    for event in /sys/class/block/*/uevent; do
        if [ -n "$1" ]; then
            case $(cd -P "${event%/uevent}" 2>/dev/null && pwd -P) in
                "$1"/*) ;;
                *) continue ;;
            esac
        fi
        device= match=
        while IFS='=' read -r key value; do
            case "$key=$value" in
                DEVNAME=*) device=$value ;;
                PARTUUID=@PARTUUID@ | PARTNAME=@PARTNAME@) match=yes ;;
            esac
        done <"$event"
        [ -n "$match" ] && [ -b "/dev/$device" ] && { root=/dev/$device; return 0; }
    done
    return 1
}

# Whole seconds since power-on; in the shell itself, for starting a program takes long on an emulated processor.
uptime() {
    read -r now _ </proc/uptime
    now=${now%%.*}
}

root=
uptime
deadline=$((now + 60))
others=
until find_root "$controller"; do
    uptime
    if [ -n "$controller" ] && find_root ""; then
        # Elsewhere, and that may be meant: a machine that was booted from a rescue medium or the network.
        : "${others:=$((now + 5))}"
        [ "$now" -lt "$others" ] || break
        root=
    fi
    if [ "$now" -ge "$deadline" ]; then
        echo "ingot: no partition @PARTUUID@ (@PARTNAME@) appeared in 60 s; these block devices are there:" >/dev/kmsg
        while read -r line; do echo "ingot: $line" >/dev/kmsg; done </proc/partitions
        exit 1 # the kernel panics and says so on the console
    fi
    $b sleep 0.05
done

[ -z "$others" ] || echo "ingot: the disk that was booted has no root; taking $root" >/dev/kmsg

mode=ro
for word in $($b cat /proc/cmdline); do
    [ "$word" = rw ] && mode=rw
done
if ! $b mount -t ext4 -o "$mode" "$root" /root; then
    echo "ingot: the root file system on $root cannot be mounted" >/dev/kmsg
    exit 1
fi
for directory in dev proc sys; do
    $b mount -o move "/$directory" "/root/$directory"
done
exec $b switch_root /root /sbin/init
