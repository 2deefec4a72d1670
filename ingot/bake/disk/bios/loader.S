# What the BIOS starts: it loads Linux, and nothing else. loader.py has its bytes; a test assembles this and
# compares.
#
# The BIOS puts the disk's first sector at 0x7c00 and jumps there, with the number of the disk in dl. After
# the code comes a table of three runs of sectors; the writer of the disk fills it in. Each is read, at most
# 32 KiB at a time, into a buffer below 1 MiB, which is all that the BIOS reaches (Enhanced Disk Drive
# Specification, int 13h function 42h), and copied from there to its place in protected mode. Then Linux's own
# real-mode code runs: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and "Running the
# Kernel".
        .code16
        .intel_syntax noprefix
        .set    BUFFER, 0x20000         # up to 0x28000
        .set    AT_ONCE, 64             # sectors
        .set    REAL_MODE, 0x1000       # the segment of Linux's real-mode code
        .set    STACK, 0xe000           # its stack begins there, and its command line follows
        .globl  _start
_start:
        cli
        xor     eax, eax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        cld
        ljmp    0, offset begin         # some BIOSes jump to 0x07c0:0
begin:
        sti
        mov     [drive], dl
        mov     ax, 0x2401              # memory above 1 MiB: by the BIOS, and by the port of PS/2s
        int     0x15
        in      al, 0x92
        or      al, 2
        and     al, 0xfe                # bit 0 is a reset
        out     0x92, al
        mov     bx, offset runs
next_run:
        mov     eax, [bx]               # its first sector
        mov     [packet_sector], eax
        mov     ecx, [bx + 4]           # how many
        mov     edi, [bx + 8]           # where to
next_piece:
        mov     eax, AT_ONCE
        cmp     eax, ecx
        jbe     read
        mov     eax, ecx
read:
        mov     [packet_count], ax
        pushad
        mov     si, offset packet
        mov     dl, [drive]
        mov     ah, 0x42
        int     0x13
        jc      failed
        popad
        pushad                          # copy eax sectors from the buffer to edi
        shl     eax, 7
        mov     ecx, eax
        mov     esi, BUFFER
        cli
        lgdt    [table]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        ljmp    0x08, offset protected
protected:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        rep movsd es:[edi], ds:[esi]
        mov     ax, 0x18                # segments of 64 KiB, as real mode has them
        mov     ds, ax
        mov     es, ax
        mov     eax, cr0
        and     al, 0xfe
        mov     cr0, eax
        ljmp    0, offset real
real:
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        sti
        popad
        add     [packet_sector], eax
        sub     ecx, eax
        shl     eax, 9
        add     edi, eax
        test    ecx, ecx
        jnz     next_piece
        add     bx, 12
        cmp     bx, offset runs_end
        jb      next_run
        cli
        mov     ax, REAL_MODE
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        mov     sp, STACK
        ljmp    REAL_MODE + 0x20, 0

failed:                                 # on the screen, and on the serial port, which EC2's console shows
        xor     ax, ax
        mov     ds, ax
        mov     si, offset message
next_character:
        lodsb
        test    al, al
        jz      halt
        mov     dx, 0x3f8
        out     dx, al
        mov     ah, 0x0e
        mov     bx, 7
        int     0x10
        jmp     next_character
halt:
        hlt
        jmp     halt

        .balign 4
gdt:
        .quad   0
        .quad   0x00009a000000ffff      # code: from 0, 64 KiB, 16 bits
        .quad   0x00cf92000000ffff      # data: from 0, 4 GiB
        .quad   0x000092000000ffff      # data: from 0, 64 KiB
table:
        .word   table - gdt - 1
        .long   gdt
packet:
        .byte   16, 0
packet_count:
        .word   0
        .word   0, BUFFER >> 4          # offset, segment
packet_sector:
        .quad   0
drive:
        .byte   0
message:
        .asciz  "Ingot: the BIOS cannot read the disk\r\n"
        .balign 4
runs:
        .fill   3 * 12, 1, 0
runs_end:
